//! Owns the tests of the store's settings: which game is how durable, and where the store lives.

use super::{
    tests::{load, load_with, problems},
    *,
};

fn store(env: &[(&str, &str)]) -> StoreConfig {
    load(env).unwrap().store
}

#[test]
fn d1_the_longest_prefix_decides_how_durable_a_game_is() {
    let config = store(&[("GAME_DURABILITY", "a-=memory, a-vip-=SYNC,a-v=journal"), ("DURABILITY", "Sync")]);
    for (game, durability) in [
        ("a-1", Durability::Memory),
        ("a-vip-1", Durability::Sync),
        ("a-vi", Durability::Journal),
        ("a-", Durability::Memory),
        ("a", Durability::Sync),
        ("b-a-1", Durability::Sync),
    ] {
        assert_eq!(config.durability(game), durability, "{game}");
    }
    let yaml = Some("durability: memory\ngame_durability: { a-: sync, a-x-: journal }\n");
    let from_file = load_with(&[], yaml, Overrides::default()).unwrap().store;
    let durability = |game| from_file.durability(game);
    assert_eq!((durability("a-1"), durability("a-x-"), durability("b")), {
        (Durability::Sync, Durability::Journal, Durability::Memory)
    });
    let none = load_with(&[("GAME_DURABILITY", "None")], yaml, Overrides::default()).unwrap().store;
    assert_eq!((none.games.len(), none.durability("a-1")), (0, Durability::Memory));
}

#[test]
fn d1_a_disk_is_needed_unless_every_game_is_in_memory() {
    assert!(store(&[]).needs_disk());
    assert!(store(&[("DURABILITY", "sync")]).needs_disk());
    assert!(!store(&[("DURABILITY", "memory")]).needs_disk());
    assert!(!store(&[("DURABILITY", "memory"), ("GAME_DURABILITY", "a-=memory")]).needs_disk());
    assert!(store(&[("DURABILITY", "memory"), ("GAME_DURABILITY", "a-=journal")]).needs_disk());
    assert!(store(&[("GAME_DURABILITY", "a-=memory")]).needs_disk(), "other games are in the journal");
}

#[test]
fn d2_the_data_dir_is_the_volumes_unless_it_is_set() {
    let dir = |env: &[(&str, &str)]| {
        let config = store(env);
        (config.data_dir.to_str().unwrap().to_owned(), config.data_dir_is_default)
    };
    let volume = ("RAILWAY_VOLUME_MOUNT_PATH", "/volume");
    assert_eq!(dir(&[]), ("data".to_owned(), true));
    assert_eq!(dir(&[volume]), ("/volume".to_owned(), false));
    assert_eq!(dir(&[volume, ("DATA_DIR", "/rooms")]), ("/rooms".to_owned(), false));
    assert_eq!(dir(&[volume, ("DATA_DIR", " ")]), ("/volume".to_owned(), false), "an empty variable is unset");
    assert_eq!(dir(&[("DATA_DIR", "data")]), ("data".to_owned(), false), "set to what is the default");
    let file = load_with(&[], Some("data_dir: rooms\n"), Overrides::default()).unwrap().store;
    assert_eq!((file.data_dir.to_str(), file.data_dir_is_default), (Some("rooms"), false));
}

#[test]
fn wrong_words_prefixes_and_times_are_problems() {
    let allowed = "allowed: comma-separated prefix=memory|journal|sync, or none";
    assert_eq!(
        problems(&[
            ("DURABILITY", "disk"),
            ("GAME_DURABILITY", "a-=disk,b-,-c=sync,d=sync,d=memory"),
            ("DATA_DIR_TIMEOUT", "30s"),
        ]),
        [
            format!("GAME_DURABILITY: \"a-=disk\" asks for none of the allowed words; {allowed}"),
            format!("GAME_DURABILITY: \"b-\" has no `=`; {allowed}"),
            format!("GAME_DURABILITY: \"-c=sync\" is not made of letters, digits and . _ ~ -; {allowed}"),
            format!("GAME_DURABILITY: \"d\" is there twice; {allowed}"),
            "DATA_DIR_TIMEOUT: \"30s\" is not a number of seconds; allowed: 0 to 3600 seconds".to_owned(),
            "DURABILITY: \"disk\" is none of the allowed words; allowed: memory, journal or sync".to_owned(),
        ]
    );
    let timeout = |text| store(&[("DATA_DIR_TIMEOUT", text)]).data_dir_timeout;
    assert_eq!((timeout("0"), timeout("3600")), (Duration::ZERO, Duration::from_secs(3600)));
}
