//! What was measured, as a table and as JSON.

use std::path::PathBuf;

use serde::Serialize;
use severance_tests::clock::now;

/// One part's measurements.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    part: &'static str,
    measured_at: String,
    machine: Machine,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    load: String,
}

/// One line: samples of one measure.
#[derive(Debug, Serialize)]
struct Row {
    measure: String,
    unit: &'static str,
    median: f64,
    lowest: f64,
    highest: f64,
    samples: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Goal>,
}

/// What a measure's median is held against.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Report {
    pub(crate) fn new(part: &'static str) -> Self {
        let rows = Vec::new();
        Self {
            part,
            measured_at: now().to_rfc3339(),
            machine: Machine::this(),
            rows,
            notes: Vec::new(),
        }
    }

    /// Adds samples of a measure; they must not be empty.
    pub(crate) fn row(
        &mut self,
        measure: impl Into<String>,
        unit: &'static str,
        samples: Vec<f64>,
        goal: Option<Goal>,
    ) {
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let (lowest, highest) = (sorted[0], sorted[sorted.len() - 1]);
        let median = median(&sorted);
        self.rows.push(Row {
            measure: measure.into(),
            unit,
            median,
            lowest,
            highest,
            samples,
            goal,
        });
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Writes `target/bench/PART.json`.
    pub(crate) fn write(&self) {
        let directory = directory();
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{}.json", self.part));
        std::fs::write(&path, serde_json::to_string_pretty(self).unwrap()).unwrap();
        println!("\nwritten: {}", path.display());
    }

    /// Prints a Markdown table.
    pub(crate) fn print(&self) {
        let Machine { cpu, cores, load } = &self.machine;
        println!("\n## {}\n\n{cpu}, {cores} cores, load {load}\n", self.part);
        println!("| measure | median | lowest to highest | unit | goal |");
        println!("| --- | ---: | ---: | --- | --- |");
        for Row { measure, unit, median, lowest, highest, goal, .. } in &self.rows {
            let goal = goal.map(|goal| goal.judge(*median)).unwrap_or_default();
            let [median, lowest, highest] = [median, lowest, highest].map(|it| short(*it));
            println!("| {measure} | {median} | {lowest} to {highest} | {unit} | {goal} |");
        }
        for note in &self.notes {
            println!("\n{note}");
        }
    }
}

impl Goal {
    fn judge(self, value: f64) -> String {
        let (met, words) = match self {
            Self::AtLeast(least) => (value >= least, format!("at least {}", short(least))),
            Self::AtMost(most) => (value <= most, format!("at most {}", short(most))),
        };
        format!("{words}: {}", if met { "met" } else { "missed" })
    }
}

impl Machine {
    fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.map_or("unknown", |it| it.trim_start_matches([' ', '\t', ':'])).to_owned();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Self { cpu, cores, load }
    }
}

/// `target/bench`, wherever the target folder is.
fn directory() -> PathBuf {
    let running = std::env::current_exe().unwrap();
    running.ancestors().nth(3).unwrap().join("bench")
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The value that `percent` of the samples do not exceed, by nearest rank.
pub(crate) fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}
