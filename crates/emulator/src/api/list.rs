//! `GET /jobs/list` (contract section 2.1, J5).

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::Value;

use super::render::Format;
use super::reply::{Refusal, Reply};
use super::route::Call;
use crate::clock::{Micros, seconds, zulu};
use crate::jobs::Job;
use crate::jobs::payload::{Problem, problem};
use crate::rules::{ListLies, Ties};
use crate::service::World;

const STATES: [&str; 5] = ["queued", "processing", "completed", "failed", "cancelled"];

#[derive(Serialize)]
struct ListBody {
    total: u64,
    page: u64,
    page_size: u64,
    total_pages: u64,
    jobs: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    job_id: String,
    #[serde(rename = "type")]
    kind: String,
    status: String,
    url: Option<Value>,
    created_at: String,
    updated_at: String,
    worker_id: Option<String>,
}

struct Wish {
    page: u64,
    page_size: u64,
    sort_by: String,
    ascending: bool,
}

/// A job as the list shows it: its state may lag behind.
struct Seen<'a> {
    job: &'a Job,
    state: &'a str,
    at: Micros,
}

pub(super) fn list(world: &World, call: &Call, client: &str) -> Result<Reply, Refusal> {
    let format = Format::read(call, &world.switches)?;
    let wish = Wish::read(call).map_err(|problems| Refusal::invalid(422, "query", &problems))?;
    let (rows, count) = rows(world, call, client, &wish);
    let total = count.saturating_add_signed(world.list.total_off_by);
    let body = ListBody {
        total,
        page: wish.page,
        page_size: wish.page_size,
        total_pages: total.div_ceil(wish.page_size),
        jobs: rows.iter().map(Seen::row).collect(),
    };
    Ok(match format {
        Format::Json => Reply::json(200, &body),
        Format::Yaml => Reply::yaml(200, serde_saphyr::to_string(&body).unwrap_or_default()),
        Format::Markdown => Reply::markdown(200, table(&body)),
    })
}

/// The rows of a page, and how many there are in all.
fn rows<'a>(world: &'a World, call: &Call, client: &str, wish: &Wish) -> (Vec<Seen<'a>>, u64) {
    let ListLies { lag, ties, ref frozen, .. } = world.list;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let filters = ["status_filter", "type_filter"].iter().any(|filter| call.query.contains_key(*filter));
    let newest_first = wish.sort_by == "updated_at" && !wish.ascending;
    if newest_first && !filters && lag == 0.0 && frozen.is_none() && ties == Ties::Stable {
        let (count, jobs) = world.store.changed_last(client, world.clock.now());
        let (skip, take) = wish.place(world.list.endless, number(count));
        let seen = |job: &'a Job| Seen { job, state: job.latest().0, at: job.latest().1 };
        return (jobs.skip(skip).take(take).map(seen).collect(), number(count));
    }
    let asked = |name: &str, got: &str| call.query.get(name).is_none_or(|wanted| wanted == got);
    let mut rows: Vec<Seen<'_>> = world
        .store
        .of_client(client)
        .filter_map(|job| {
            let as_of = world.list.known_until(job, world.clock.now());
            job.seen_at(as_of).map(|(state, at)| Seen { job, state, at: world.list.stamp(job, at) })
        })
        .filter(|seen| asked("status_filter", seen.state) && asked("type_filter", &seen.job.kind))
        .collect();
    let mut shuffled = shuffle(ties);
    if let Some(random) = &mut shuffled {
        random.shuffle(&mut rows);
    }
    // Documented samples have whole seconds: what lies within one ties.
    let cut = |at: Micros| if shuffled.is_some() { at.div_euclid(1_000_000) } else { at };
    match wish.sort_by.as_str() {
        "status" => order(&mut rows, wish.ascending, |seen| seen.state),
        "updated_at" => order(&mut rows, wish.ascending, |seen| cut(seen.at)),
        _ => order(&mut rows, wish.ascending, |seen| cut(seen.job.created_at)),
    }
    let count = number(rows.len());
    let (skip, take) = wish.place(world.list.endless, count);
    (rows.into_iter().skip(skip).take(take).collect(), count)
}

/// What brings rows into another order each time, where they are to be.
fn shuffle(ties: Ties) -> Option<fastrand::Rng> {
    (ties == Ties::Shuffled).then(fastrand::Rng::new)
}

impl ListLies {
    /// When a job changed last, as the list says.
    fn stamp(&self, job: &Job, at: Micros) -> Micros {
        let frozen = self.frozen.as_ref().is_some_and(|text| has(job, text));
        if frozen { job.created_at } else { at }
    }

    /// Until when the list knows what a job did.
    fn known_until(&self, job: &Job, now: Micros) -> Micros {
        let lags = self.lag > 0.0 && self.lagging.as_ref().is_none_or(|text| has(job, text));
        if lags { now.saturating_sub(seconds(self.lag)) } else { now }
    }
}

/// Whether a job's payload has a text in it.
fn has(job: &Job, text: &str) -> bool {
    job.payload.to_string().contains(text)
}

/// Sorts; jobs that tie come in the order they were made, or the reverse of it.
fn order<'a, K: Ord>(rows: &mut [Seen<'a>], ascending: bool, key: impl Fn(&Seen<'a>) -> K) {
    if ascending {
        rows.sort_by_key(key);
    } else {
        rows.reverse();
        rows.sort_by_key(|seen| Reverse(key(seen)));
    }
}

impl Seen<'_> {
    fn row(&self) -> Row {
        Row {
            job_id: self.job.id.clone(),
            kind: self.job.kind.clone(),
            status: self.state.to_owned(),
            url: self.job.payload.get("url").cloned(),
            created_at: zulu(self.job.created_at),
            updated_at: zulu(self.at),
            worker_id: self.job.worker().filter(|_| self.state != "queued"),
        }
    }
}

impl Wish {
    fn read(call: &Call) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut number = |name: &str, default: u64, most: u64| {
            let Some(text) = call.query.get(name) else { return default };
            text.parse().ok().filter(|n| (1..=most).contains(n)).unwrap_or_else(|| {
                problems.push(problem(name, format!("Input should be an integer from 1 to {most}")));
                default
            })
        };
        let page = number("page", 1, u64::from(u32::MAX));
        let page_size = number("page_size", 50, 100);
        let mut word = |name: &str, words: &[&str]| {
            let text = call.query.get(name).map(String::as_str);
            if text.is_some_and(|text| !words.contains(&text)) {
                problems.push(problem(name, format!("Input should be one of: {}", words.join(", "))));
            }
            text.unwrap_or_default().to_owned()
        };
        word("status_filter", &STATES);
        let sort_by = word("sort_by", &["created_at", "updated_at", "status"]);
        let ascending = word("sort_order", &["desc", "asc"]) == "asc";
        if problems.is_empty() { Ok(Self { page, page_size, sort_by, ascending }) } else { Err(problems) }
    }

    /// How many of so many rows come before the page, and how many it has.
    fn place(&self, endless: bool, count: u64) -> (usize, usize) {
        let last = count.div_ceil(self.page_size).max(1);
        let shown = if endless { self.page.min(last) } else { self.page };
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (number((shown - 1).saturating_mul(self.page_size)), number(self.page_size))
    }
}

fn table(body: &ListBody) -> String {
    let row =
        |job: &Row| format!("| {} | {} | {} | {} |\n", job.job_id, job.kind, job.status, job.updated_at);
    let rows: String = body.jobs.iter().map(row).collect();
    format!("## Jobs: {}\n| Job | Type | Status | Updated |\n|---|---|---|---|\n{rows}", body.total)
}
