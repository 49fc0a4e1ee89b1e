//! Owns where settings are looked up by name: the process's environment, or a map in tests.

use std::collections::HashMap;

/// Somewhere to look a variable up.
pub trait VariableSource {
    /// The variable's text, or `None` when it is not there. An empty text counts as unset for the
    /// reader.
    fn get(&self, key: &str) -> Option<String>;

    /// The names of all variables that are there, in any order; none from a source that cannot list
    /// them.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnv;

impl VariableSource for ProcessEnv {
    /// Bytes that are not UTF-8 become U+FFFD, which `Config::load` reports.
    fn get(&self, key: &str) -> Option<String> {
        std::env::var_os(key).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

impl VariableSource for HashMap<String, String> {
    fn get(&self, key: &str) -> Option<String> {
        HashMap::get(self, key).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

impl VariableSource for HashMap<&str, &str> {
    fn get(&self, key: &str) -> Option<String> {
        HashMap::get(self, key).map(|value| (*value).to_owned())
    }

    fn names(&self) -> Vec<String> {
        self.keys().map(|name| (*name).to_owned()).collect()
    }
}
