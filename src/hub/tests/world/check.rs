//! Owns the check of what a client was sent: no value is missing without a gap, none is old, and
//! the newest is there.

use super::*;

impl World {
    /// Reads the frames of a client, as the client would.
    pub(super) fn check(&self, client: &Client) {
        // The number and the value of each subscribed topic; `None` before the first.
        let mut known: BTreeMap<String, Option<(u64, Json)>> = BTreeMap::new();
        // Gaps that no value has followed yet.
        let mut gaps = BTreeSet::new();
        let (mut gap_count, mut subscribed_count) = (BTreeMap::new(), BTreeMap::<_, u64>::new());
        let mut feed = json!("live");
        for frame in client.received() {
            if let Some(name) = frame["fence"].as_str() {
                known.remove(name);
                continue;
            }
            match frame["type"].as_str().expect("a type") {
                "subscribed" => {
                    let name = frame["topics"][0].as_str().expect("a topic");
                    known.insert(name.to_owned(), None);
                    *subscribed_count.entry(name.to_owned()).or_default() += 1;
                    continue;
                }
                "feed" => {
                    feed = frame["state"].clone();
                    continue;
                }
                "gap" => {
                    assert!(frame["from"].as_u64() <= frame["to"].as_u64(), "{frame}");
                    for name in frame["topics"].as_array().expect("topics") {
                        let name = name.as_str().expect("a name").to_owned();
                        gaps.insert(name.clone());
                        *gap_count.entry(name).or_default() += 1;
                    }
                    continue;
                }
                _ => {}
            }
            let name = frame["topic"].as_str().expect("a topic");
            let (seq, data) = (frame["seq"].as_u64().expect("a number"), &frame["data"]);
            let value = known.get_mut(name);
            if let (Some(Some((_, before))), "latest") = (&value, name)
                && before[0] != data[0]
            {
                assert!(gaps.remove("latest"), "no gap was told before {frame}, behind {before}");
            }
            if frame["snapshot"] == true {
                let value = value.unwrap_or_else(|| panic!("{name} came after its end: {frame}"));
                assert!(value.as_ref().is_none_or(|(before, _)| *before <= seq), "{frame}");
                *value = Some((seq, data.clone()));
                continue;
            }
            let Some(value) = value else { panic!("{name} came after its end: {frame}") };
            if name == "latest" && value.is_none() {
                // The client had no value before.
                *value = Some((seq, data.clone()));
                continue;
            }
            let Some((before, value)) = value else { panic!("nothing comes before a snapshot: {frame}") };
            assert!(*before < seq, "{frame}");
            if name == "steps" {
                assert_eq!(*before + 1, seq, "no step is missed unseen");
                value.as_array_mut().expect("a list").extend(data.as_array().expect("a list").iter().cloned());
            } else {
                *value = data.clone();
            }
            *before = seq;
        }
        for (name, count) in gap_count {
            let most = self.era * subscribed_count[&name];
            assert!((0..=most).contains(&count), "{name}: {count} gaps for {} losses", self.era);
        }
        assert_eq!(feed, json!(self.status.state));
        let names: BTreeSet<_> = known.keys().map(|name| topic(name)).collect();
        assert_eq!(names, client.topics);
        for (name, value) in known {
            let said = &self.said[name.as_str()];
            let expected = if name == "steps" { json!(said) } else { json!([self.era, said.len()]) };
            assert_eq!(value.map(|(_, value)| value), Some(expected), "{name}: the newest arrived");
        }
    }
}
