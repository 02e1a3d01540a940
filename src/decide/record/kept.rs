//! What is kept of a payload: as much as decisions look at. The text itself is read again when it is sent.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Body;
use super::body::{Recorded, knows_version};
use crate::api::{Payload, Unfit};

/// The longest address that is kept, which is the longest that the schema admits.
const URL_MAX: usize = 2048;

/// What is kept of the body that a payload and a priority make.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeptBody {
    /// Hash of the body.
    pub hash: String,
    /// Hash of the body without priority.
    pub payload_hash: String,
    /// Whether the payload has a `workflow`.
    pub workflow: bool,
    /// The start page.
    pub url: Option<String>,
    bytes: usize,
    /// The hashes of the body, one for each version.
    hashes: [String; 2],
    /// Of each hash that a body with this payload may have been recorded with.
    equal: Vec<Short>,
}

/// The beginning of a hash of a hash: whole ones would be the most of what is kept.
type Short = [u8; 16];

impl KeptBody {
    /// What is kept of the body of this payload.
    ///
    /// # Errors
    /// Why the payload can never be sent.
    pub fn of(payload: &Payload, priority: Option<i32>) -> Result<Self, Unfit> {
        let members = payload.members()?;
        let url = members.get("url").and_then(serde_json::Value::as_str).filter(|url| url.len() <= URL_MAX);
        let workflow = members.contains_key("workflow");
        let body = Body::new(&members, priority);
        Ok(Self {
            payload_hash: body.payload_hash(),
            workflow,
            url: url.map(str::to_owned),
            bytes: body.payload_bytes(),
            hashes: body.hashes(),
            equal: body.equal_hashes().map(|hash| short(&hash)).collect(),
            hash: body.hash,
        })
    }

    /// What a recorded hash says of this body.
    pub(in crate::decide) fn recorded(&self, hash: &str) -> Recorded {
        Recorded::by(hash, &self.hashes)
    }

    /// Names the body for ever in one way, so that no release that records another version lets go of what is held.
    pub(in crate::decide) fn hold_name(&self) -> &str {
        let [by_v1, _] = &self.hashes;
        by_v1
    }

    /// Whether a recorded body had the same payload; `None` where another release made the hash.
    pub fn has_payload_of(&self, recorded: &str) -> Option<bool> {
        knows_version(recorded).then(|| self.equal.contains(&short(recorded)))
    }

    /// Names, one for each priority, under which submits of an equal payload are kept apart from a cancel; see
    /// [`equality`].
    pub fn equalities(&self) -> Vec<String> {
        self.equal.iter().map(hex::encode).collect()
    }

    /// Size of the canonical payload in bytes.
    pub fn payload_bytes(&self) -> usize {
        self.bytes
    }
}

/// The name under which a job of this recorded hash is kept apart from submits of an equal payload.
pub fn equality(hash: &str) -> String {
    hex::encode(short(hash))
}

fn short(hash: &str) -> Short {
    let mut short = Short::default();
    short.iter_mut().zip(Sha256::digest(hash)).for_each(|(to, from)| *to = from);
    short
}
