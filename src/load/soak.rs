//! Owns the watch on a server's memory, descriptors and disk, and the slope of each.

use std::{path::PathBuf, time::Duration};

use super::{
    plan::LoadPlan,
    usage::{self, ServerUsage},
};

/// So many samples in a whole soak, at least a second apart.
const SAMPLES: u32 = 600;
/// The first part of a soak fills caches and histories, which is no growth that goes on.
const SETTLING: f64 = 0.2;
const METRICS_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a server says what it uses.
enum Source {
    Process(u32),
    Metrics { url: String, bearer: Option<String>, agent: ureq::Agent },
}

pub(super) struct Soak {
    source: Source,
    disk: Option<PathBuf>,
    /// Between two samples; `None`: there is no soak, and samples are only taken on request.
    every: Option<Duration>,
    samples: Vec<(f64, ServerUsage)>,
}

/// How something grew: its first and last value, and the growth an hour by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    pub first: f64,
    pub last: f64,
    pub per_hour: f64,
}

impl Soak {
    /// `None` if nobody asked what the server uses.
    pub(super) fn new(plan: &LoadPlan) -> Option<Self> {
        let options = &plan.options;
        let source = match options.pid {
            Some(pid) => Source::Process(pid),
            None => {
                options.soak?;
                let agent = ureq::Agent::config_builder().timeout_global(Some(METRICS_TIMEOUT)).proxy(None).build();
                let bearer = plan.operator.as_ref().map(|key| format!("Bearer {}", key.expose()));
                Source::Metrics { url: format!("{}/metrics", plan.target.http()), bearer, agent: agent.new_agent() }
            }
        };
        let every = options.soak.map(|soak| (soak / SAMPLES).max(Duration::from_secs(1)));
        Some(Self { source, disk: options.disk.clone(), every, samples: Vec::new() })
    }

    pub(super) fn usage(&self) -> ServerUsage {
        let usage = match &self.source {
            Source::Process(pid) => usage::of_process(*pid),
            Source::Metrics { url, bearer, agent } => {
                let mut request = agent.get(url);
                if let Some(bearer) = bearer {
                    request = request.header("Authorization", bearer);
                }
                let text = request.call().ok().and_then(|mut answer| answer.body_mut().read_to_string().ok());
                usage::of_metrics(&text.unwrap_or_default())
            }
        };
        ServerUsage { disk: self.disk.as_deref().and_then(usage::size_of), ..usage }
    }

    /// Takes a sample if one is due `seconds` after the start of the measuring.
    pub(super) fn watch(&mut self, seconds: f64) {
        let Some(every) = self.every else { return };
        if self.samples.last().is_none_or(|(last, _)| seconds - last >= every.as_secs_f64()) {
            let usage = self.usage();
            self.samples.push((seconds, usage));
        }
    }

    /// The slopes of memory, descriptors and disk; `None` without a soak.
    pub(super) fn slopes(&self) -> Option<[Option<Slope>; 3]> {
        self.every?;
        let slope_of = |what: fn(&ServerUsage) -> Option<f64>| {
            slope(&self.samples.iter().filter_map(|(at, usage)| Some((*at, what(usage)?))).collect::<Vec<_>>())
        };
        Some([slope_of(|usage| usage.memory), slope_of(|usage| usage.descriptors), slope_of(|usage| usage.disk)])
    }
}

/// Returns `None` for fewer than three samples behind the first part.
fn slope(samples: &[(f64, f64)]) -> Option<Slope> {
    let (_, last) = *samples.last()?;
    let begin = (samples.len() as f64 * SETTLING) as usize;
    let kept = samples.get(begin..).filter(|kept| kept.len() >= 3)?;
    let count = kept.len() as f64;
    let mean_x = kept.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = kept.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread: f64 = kept.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let joint: f64 = kept.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let per_second = if spread > 0.0 { joint / spread } else { 0.0 };
    Some(Slope { first: kept.first()?.1, last, per_hour: per_second * 3600.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_leaves_the_first_part_out() {
        let samples: Vec<_> =
            (0..100).map(|at| (f64::from(at), if at < 20 { 0.0 } else { 500.0 + f64::from(at) })).collect();
        let found = slope(&samples).unwrap();
        assert!((found.per_hour - 3600.0).abs() < 1e-6, "{found:?}");
        assert_eq!((found.first, found.last), (520.0, 599.0));
        assert_eq!(slope(&samples[..3]), Some(Slope { first: 0.0, last: 0.0, per_hour: 0.0 }));
        assert_eq!(slope(&samples[..2]), None);
    }
}
