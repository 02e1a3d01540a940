//! The pure part of a look at an object, and the program itself.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use spideriq_operator::api::{Reason, State};
use spideriq_operator::decide::{Message, Outcome, Standing, next, settle};

use crate::figures::spread;
use crate::{row, situation, table};

pub fn measure(program: &Path) {
    table("Decisions", "Measure | Goal | Measured");
    let situations = [
        ("a job to be submitted", situation::fresh(situation::site())),
        ("a job that runs", situation::accepted("processing")),
    ];
    for (name, o) in situations {
        let look = || {
            let plan = next(black_box(&o));
            settle(&o, &plan, &Outcome::Done)
        };
        let rounds: Vec<f64> = (0..7).map(|_| microseconds(5000, || drop(black_box(look())))).collect();
        row(&[&format!("decide and settle, {name}"), "< 10 µs", &spread(&rounds, "µs")]);
        let whole: Vec<f64> = (0..7)
            .map(|_| microseconds(5000, || drop(black_box(situation::shown(standing(), &o)))))
            .collect();
        row(&[&format!("the same with the conditions, {name}"), "–", &spread(&whole, "µs")]);
    }
    let size = std::fs::metadata(program).unwrap().len();
    row(&["release binary, stripped", "≤ 9.5 MB", &format!("{:.1} MB", size as f64 / 1e6)]);
}

fn standing() -> Standing {
    Standing::Following(State::Processing, Reason::Processing, Message::Said("in progress".into()))
}

fn microseconds(times: u32, what: impl Fn()) -> f64 {
    let begun = Instant::now();
    for _ in 0..times {
        what();
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}
