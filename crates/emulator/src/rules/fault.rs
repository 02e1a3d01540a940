//! Faults: what goes wrong with which requests, and when.

use anyhow::ensure;
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use super::job::Span;

/// A fault. `delay` and `delay_reply` may stand alone or beside one of `drop`, `hang`, `reply`, `cut` and `trickle`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// What the journal calls it; its number in the list otherwise.
    pub name: Option<String>,
    /// Which requests; everything by default.
    #[serde(rename = "match")]
    pub matches: RequestMatch,
    /// Which of those that match; all by default.
    pub when: When,
    /// Real seconds to wait before the request is looked at.
    pub delay: Option<Span>,
    /// Real seconds to wait between handling and reply.
    pub delay_reply: Option<Span>,
    /// Close the connection without a reply.
    pub drop: Option<Moment>,
    /// Never answer, and keep the connection open.
    pub hang: Option<Moment>,
    /// Answer this instead.
    pub reply: Option<CannedReply>,
    /// Send the true reply's head, and this many bytes of its body, then close the connection.
    pub cut: Option<usize>,
    /// Send the true reply's body slowly.
    pub trickle: Option<Trickle>,
}

/// Which requests; every condition given must hold. Texts are parts to be found.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestMatch {
    /// `submit`, `status`, `results`, `list`, `cancel`, `whoami`, `events`, `health` or `other`.
    pub route: Option<String>,
    /// A part of the path with its query.
    pub path: Option<String>,
    /// A part of the token.
    pub token: Option<String>,
    /// The client that the token belongs to.
    pub client: Option<String>,
    /// A part of the type, of submits.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// A part of the body.
    pub body: Option<String>,
}

/// Which of the requests that match, counted from 1 since the fault was set; every condition given must hold.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Leave out that many at first; the others then count from 1.
    pub after: u64,
    /// Only this one.
    pub nth: Option<u64>,
    /// Only so many.
    pub first: Option<u64>,
    /// Only each so-manieth.
    pub every: Option<u64>,
    /// Only this share (0 to 1), drawn from the seed.
    pub share: Option<f64>,
}

/// Whether the service acts on the request before the fault.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// Nothing happens.
    Before,
    /// The service does all; only its reply is lost.
    After,
}

/// A reply given literally.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CannedReply {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Headers. Without a `content-type`: `text/html` when the body begins with `<`, else `application/json`.
    pub headers: BTreeMap<String, String>,
    /// A text is sent as it is, anything else as JSON. Without any body: a fitting error body.
    pub body: Option<Value>,
    /// The body in Base64, for bytes that are no text.
    pub body_base64: Option<String>,
    /// How often the body is sent; a huge one is streamed and never held.
    pub repeat: u64,
    /// Whether the service acts on the request first.
    pub handled: bool,
}

impl Default for CannedReply {
    fn default() -> Self {
        Self {
            status: 500,
            headers: BTreeMap::new(),
            body: None,
            body_base64: None,
            repeat: 1,
            handled: false,
        }
    }
}

/// How slowly a body is sent.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trickle {
    /// Bytes at a time, at least 1.
    pub bytes: usize,
    /// Real seconds before each.
    pub every: f64,
}

/// The part of a fault that takes the reply's place.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Only delays.
    None,
    /// See [`Fault::drop`].
    Drop(Moment),
    /// See [`Fault::hang`].
    Hang(Moment),
    /// See [`Fault::reply`].
    Reply(CannedReply),
    /// See [`Fault::cut`].
    Cut(usize),
    /// See [`Fault::trickle`].
    Trickle(Trickle),
}

/// The faces of a request that faults match on.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) route: &'a str,
    pub(crate) path: &'a str,
    pub(crate) token: &'a str,
    pub(crate) client: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) body: &'a [u8],
}

/// A fault in force, with its counts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Armed {
    pub(crate) fault: Fault,
    pub(crate) matched: u64,
    pub(crate) fired: u64,
}

impl Fault {
    /// What takes the reply's place.
    pub fn effect(&self) -> Effect {
        let reply = self.reply.clone().map(Effect::Reply);
        reply
            .or(self.drop.map(Effect::Drop))
            .or(self.hang.map(Effect::Hang))
            .or(self.cut.map(Effect::Cut))
            .or(self.trickle.map(Effect::Trickle))
            .unwrap_or(Effect::None)
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        let effects = [
            self.drop.is_some(),
            self.hang.is_some(),
            self.reply.is_some(),
            self.cut.is_some(),
            self.trickle.is_some(),
        ];
        let count = effects.iter().filter(|e| **e).count();
        ensure!(count <= 1, "only one of drop, hang, reply, cut and trickle");
        ensure!(
            count == 1 || self.delay.is_some() || self.delay_reply.is_some(),
            "nothing happens: give one of delay, delay_reply, drop, hang, reply, cut and trickle"
        );
        for span in [self.delay, self.delay_reply].into_iter().flatten() {
            span.check()?;
        }
        if let Some(route) = &self.matches.route {
            let routes =
                ["submit", "status", "results", "list", "cancel", "whoami", "events", "health", "other"];
            ensure!(
                routes.contains(&route.as_str()),
                "match.route: no route {route:?}; there are {}",
                routes.join(", ")
            );
        }
        ensure!(self.when.nth != Some(0) && self.when.every != Some(0), "when: nth and every count from 1");
        ensure!(self.when.share.is_none_or(|s| (0.0..=1.0).contains(&s)), "when.share: from 0 to 1");
        if let Some(trickle) = self.trickle {
            ensure!(trickle.bytes > 0, "trickle.bytes: at least 1");
            Span::Fixed(trickle.every).check()?;
        }
        self.reply.as_ref().map_or(Ok(()), CannedReply::check)
    }
}

impl CannedReply {
    fn check(&self) -> anyhow::Result<()> {
        ensure!((200..=599).contains(&self.status), "reply.status: from 200 to 599");
        ensure!(self.body.is_none() || self.body_base64.is_none(), "reply: only one of body and body_base64");
        for (name, value) in &self.headers {
            let good = hyper::header::HeaderName::try_from(name).is_ok()
                && hyper::header::HeaderValue::from_bytes(value.as_bytes()).is_ok();
            ensure!(good, "reply.headers: {name:?} cannot be sent");
        }
        self.bytes().map(|_| ())
    }

    /// The body once; `None` when none is given.
    pub(crate) fn bytes(&self) -> anyhow::Result<Option<Vec<u8>>> {
        if let Some(text) = &self.body_base64 {
            return Ok(Some(base64::engine::general_purpose::STANDARD.decode(text)?));
        }
        let text = |body: &Value| body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        Ok(self.body.as_ref().map(text).map(String::into_bytes))
    }
}

impl RequestMatch {
    fn hits(&self, sight: &Sight<'_>) -> bool {
        let same = |wanted: &Option<String>, got: &str| wanted.as_ref().is_none_or(|w| w == got);
        let part = |wanted: &Option<String>, got: &str| wanted.as_ref().is_none_or(|w| got.contains(w));
        same(&self.route, sight.route)
            && same(&self.client, sight.client)
            && part(&self.path, sight.path)
            && part(&self.token, sight.token)
            && part(&self.kind, sight.kind)
            && part(&self.body, &String::from_utf8_lossy(sight.body))
    }
}

impl When {
    fn fires(&self, matched: u64, random: &mut fastrand::Rng) -> bool {
        let Some(count) = matched.checked_sub(self.after).filter(|n| *n > 0) else { return false };
        self.nth.is_none_or(|n| count == n)
            && self.first.is_none_or(|n| count <= n)
            && self.every.is_none_or(|n| count.is_multiple_of(n))
            && self.share.is_none_or(|share| random.f64() < share)
    }
}

impl Armed {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, matched: 0, fired: 0 }
    }

    /// Counts a request and tells whether the fault fires on it.
    pub(crate) fn meet(&mut self, sight: &Sight<'_>, random: &mut fastrand::Rng) -> bool {
        if !self.fault.matches.hits(sight) {
            return false;
        }
        self.matched += 1;
        let fires = self.fault.when.fires(self.matched, random);
        self.fired += u64::from(fires);
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(when: &When, seed: u64) -> Vec<u64> {
        let mut random = fastrand::Rng::with_seed(seed);
        (1..=10).filter(|n| when.fires(*n, &mut random)).collect()
    }

    #[test]
    fn faults_fire_when_they_should() {
        let when = When::default;
        assert_eq!(fired(&when(), 1).len(), 10);
        assert_eq!(fired(&When { nth: Some(3), ..when() }, 1), [3]);
        assert_eq!(fired(&When { first: Some(2), ..when() }, 1), [1, 2]);
        assert_eq!(fired(&When { every: Some(4), ..when() }, 1), [4, 8]);
        assert_eq!(fired(&When { after: 3, first: Some(2), ..when() }, 1), [4, 5]);
        let half = || When { share: Some(0.5), ..When::default() };
        assert_eq!(fired(&half(), 3), fired(&half(), 3));
        assert!((1..10).contains(&fired(&half(), 3).len()));
    }

    #[test]
    fn every_condition_of_a_match_must_hold() {
        let sight = Sight {
            route: "submit",
            path: "/api/v1/jobs/spiderSite/submit",
            token: "cli_a:sk_b:secret_c",
            client: "cli_a",
            kind: "spiderSite",
            body: b"{\"url\":\"https://a.example\"}",
        };
        for (text, want) in [
            ("{}", true),
            ("{route: submit, type: Site, client: cli_a, token: sk_b, path: /jobs/, body: a.example}", true),
            ("{route: status}", false),
            ("{route: submit, type: Maps}", false),
            ("{route: submit, client: cli_b}", false),
            ("{token: sk_c}", false),
            ("{path: /list}", false),
            ("{body: b.example}", false),
        ] {
            let matches: RequestMatch = crate::rules::read(&format!("# yaml\n{text}")).unwrap();
            assert_eq!(matches.hits(&sight), want, "{text}");
        }
    }
}
