//! Owns the tests of the table itself: every setting is read, bounded, documented with its default,
//! and safe with any text.

use std::{cell::RefCell, collections::BTreeSet};

use super::{
    tests::{load, load_with, problems},
    *,
};

#[test]
fn every_bound_fits_the_field_it_fills_and_the_next_value_is_a_problem() {
    for setting in SETTINGS {
        let (good, bad) = match setting.kind {
            SettingKind::Port => (vec!["0".to_owned(), "65535".to_owned()], vec!["65536".to_owned()]),
            SettingKind::Count { min, max } | SettingKind::Bytes { min, max } | SettingKind::Millis { min, max } => {
                let below = min.checked_sub(1).map(|n| n.to_string());
                (vec![min.to_string(), max.to_string()], below.into_iter().chain([(max + 1).to_string()]).collect())
            }
            SettingKind::Seconds { min, max } => {
                (vec![min.to_string(), max.to_string()], vec![(max + 0.5).to_string()])
            }
            _ => continue,
        };
        for text in good {
            // A burst is no less than one message.
            let message = if setting.name == table::BYTE_BURST.name { "64" } else { "" };
            let config = load(&[("MAX_MESSAGE_BYTES", message), (setting.name, &text)])
                .unwrap_or_else(|problems| panic!("{problems}"));
            if let SettingKind::Count { max, .. } | SettingKind::Bytes { max, .. } = setting.kind
                && text == max.to_string()
            {
                assert!(format!("{config:?}").contains(&text), "{}={text} does not fit its field", setting.name);
            }
        }
        for text in bad {
            let lines = problems(&[(setting.name, &text)]);
            assert!(lines[0].contains("is out of range; allowed: "), "{lines:?}");
        }
    }
}

#[test]
fn every_setting_of_the_table_is_read_and_no_other() {
    struct Recorder(RefCell<BTreeSet<String>>);
    impl VariableSource for Recorder {
        fn get(&self, key: &str) -> Option<String> {
            self.0.borrow_mut().insert(key.to_owned());
            // So that every shipped description is read, and with it the variables it asks for.
            (key == "HUBS").then(|| "massive-options,massive-indices,binance,alpaca,finnhub,kraken,bus".to_owned())
        }
    }
    let recorder = Recorder(RefCell::default());
    let config = Config::from_source(&recorder, None, Overrides::default()).unwrap();
    assert_eq!(config.hubs.len(), 7);
    let read = recorder.0.into_inner();
    let platforms = ["RAILWAY_ENVIRONMENT_NAME", "RENDER", "FLY_APP_NAME", "DYNO"];
    let variables = || feeds::VARIABLES.iter().map(|variable| variable.name);
    let mut listed: Vec<&str> = SETTINGS
        .iter()
        .flat_map(|s| [s.name].into_iter().chain(s.aliases.iter().copied()))
        .chain(variables())
        .collect();
    let names = listed.len();
    listed.extend(platforms);
    let listed: BTreeSet<String> = listed.into_iter().map(str::to_owned).collect();
    assert_eq!(listed.len(), names + platforms.len(), "a name is there twice");
    // from_source does not look at CONFIG_FILE; load does.
    assert_eq!(read, listed.into_iter().filter(|name| name != "CONFIG_FILE").collect());
}

#[test]
fn the_example_files_with_every_line_uncommented_say_the_defaults() {
    let defaults = format!("{:?}", Config::default());
    // What is set to its default is set all the same.
    let read =
        |config: Config| format!("{config:?}").replace("data_dir_is_default: false", "data_dir_is_default: true");
    let env: HashMap<String, String> = table::env_example()
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once('='))
        .filter(|(name, _)| {
            let variables = feeds::VARIABLES.iter().map(|variable| variable.name);
            SETTINGS.iter().map(|setting| setting.name).chain(variables).any(|known| known == *name)
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(env.len(), SETTINGS.len() + feeds::VARIABLES.len());
    let config = Config::from_source(&env, None, Overrides::default()).unwrap();
    assert_eq!(read(config), defaults);

    let in_file = || SETTINGS.iter().filter(|setting| setting.is_in_file());
    let keys: Vec<String> = in_file().map(|setting| setting.name.to_ascii_lowercase()).collect();
    let yaml: String = table::yaml_example()
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.split_once(':').is_some_and(|(key, _)| keys.iter().any(|known| known == key)))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(yaml.lines().count(), keys.len());
    let config = load_with(&[], Some(&yaml), Overrides::default()).unwrap();
    assert_eq!(read(config), defaults);
}

proptest::proptest! {
    /// proptest prints the failing input and its seed.
    #[test]
    fn no_text_in_the_environment_or_the_file_panics_or_shows_a_secret(
        text in ".{0,24}", yaml in "[-a-z_:\\[\\]{}&*!|>'\"#, \n]{0,80}", secret in "[0-9A-Z]{16,31}", index in 0..SETTINGS.len(),
    ) {
        let setting = &SETTINGS[index];
        let mut env = vec![("DYNO", "x"), ("JWT_SECRET", secret.as_str()), ("SENTRY_DSN", secret.as_str())];
        if !setting.secret {
            env.push((setting.name, text.as_str()));
        }
        let found = load_with(&env, Some(&yaml), Overrides { host: Some(text.clone()), port: None }).unwrap_err();
        assert!(!format!("{found} {found:?}").contains(&secret), "{found}");
    }

    #[test]
    fn no_origin_panics(entry in ".{0,24}", origin in "(https?|[a-z]{0,3})(:|//|://)[-\\[\\]:.*a0\\PC]{0,20}") {
        let page = Origin::parse(&origin).ok();
        if let Ok(pattern) = OriginPattern::parse(&entry).or_else(|_| OriginPattern::parse(&origin)) {
            let _ = pattern.matches(page.as_ref());
        }
        let pattern = OriginPattern::parse("https://*.example.com").unwrap();
        assert!(!pattern.matches(page.as_ref()));
    }
}
