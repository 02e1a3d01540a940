//! Bearer tokens and the clients (tenants) that they belong to (contract section 1).
//!
//! The only module that holds tokens in clear; others see a fingerprint.

use anyhow::{Context, bail};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A token that the service knows.
#[derive(Clone, Debug, Serialize)]
pub struct Token {
    #[serde(skip)]
    secret: String,
    /// First 12 hexadecimal digits of the token's SHA-256.
    pub fingerprint: String,
    /// The client whose jobs it sees.
    pub client: String,
    /// Whether it is an opaque PAT and not a credential triple.
    pub pat: bool,
    /// When it expired (`…Z`); absent while it is good.
    pub expired_at: Option<String>,
}

/// Who sent a request, as far as can be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) client: Option<String>,
    pub(crate) fingerprint: Option<String>,
}

/// Why a request may not enter.
#[derive(Clone, Debug)]
pub(crate) enum Denial {
    /// There is no token.
    Missing,
    /// A PAT that is not known.
    UnknownPat,
    /// A triple that is not known.
    UnknownTriple,
    /// Neither a PAT nor a triple.
    Unreadable,
    /// It was good until then.
    Expired { at: String, pat: bool },
    /// Its client was made inactive.
    Inactive,
}

/// All known tokens, and the clients that were made inactive.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: Vec<Token>,
    inactive: Vec<String>,
}

/// First 12 hexadecimal digits of the SHA-256, enough to tell tokens apart and no help in using one.
pub(crate) fn fingerprint(token: &str) -> String {
    digest(token.as_bytes()).chars().take(12).collect()
}

/// The SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Token {
    /// Reads `cli_x:sk_y:secret_z` or `spideriq_pat_<agent>_<secret>[=client_id]`.
    ///
    /// # Errors
    /// When it is neither. The message does not repeat the token.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let make = |secret: &str, client: &str, pat| Self {
            secret: secret.to_owned(),
            fingerprint: fingerprint(secret),
            client: client.to_owned(),
            pat,
            expired_at: None,
        };
        if let Some(rest) = text.strip_prefix("spideriq_pat_") {
            let (tail, client) = rest.split_once('=').map_or((rest, None), |(t, c)| (t, Some(c)));
            let agent = tail.rsplit_once('_').map_or("pat", |(agent, _)| agent);
            let client = client.map_or_else(|| format!("cli_{agent}"), str::to_owned);
            if tail.is_empty() || client.is_empty() {
                bail!("a PAT reads spideriq_pat_<agent>_<secret>[=client_id]");
            }
            return Ok(make(&format!("spideriq_pat_{tail}"), &client, true));
        }
        let client = triple(text).context(
            "a token reads client_id:api_key:api_secret (cli_…:sk_…:secret_…) or spideriq_pat_<agent>_<secret>[=client_id]",
        )?;
        Ok(make(text, client, false))
    }
}

fn triple(text: &str) -> Option<&str> {
    let mut parts = text.split(':');
    let client = parts.next().filter(|p| p.starts_with("cli_"))?;
    parts.next().filter(|p| p.starts_with("sk_"))?;
    parts.next().filter(|p| p.starts_with("secret_"))?;
    parts.next().is_none().then_some(client)
}

impl Tokens {
    pub(crate) fn add(&mut self, token: Token) {
        self.known.retain(|known| known.secret != token.secret);
        self.known.push(token);
    }

    pub(crate) fn list(&self) -> &[Token] {
        &self.known
    }

    /// Marks a token as expired; false when no such token (or fingerprint) is known.
    pub(crate) fn expire(&mut self, token: &str, at: &str) -> bool {
        let found = self.known.iter_mut().find(|t| t.secret == token || t.fingerprint == token);
        found.map(|t| t.expired_at = Some(at.to_owned())).is_some()
    }

    /// Forgets a token; false when no such token (or fingerprint) is known.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let before = self.known.len();
        self.known.retain(|t| t.secret != token && t.fingerprint != token);
        self.known.len() < before
    }

    pub(crate) fn set_active(&mut self, client: &str, active: bool) {
        self.inactive.retain(|c| c != client);
        if !active {
            self.inactive.push(client.to_owned());
        }
    }

    /// Names the caller for the journal, whether or not it may enter.
    pub(crate) fn caller(&self, bearer: Option<&str>) -> Caller {
        let client = bearer.and_then(|b| self.known.iter().find(|t| t.secret == b)).map(|t| t.client.clone());
        Caller { client, fingerprint: bearer.map(fingerprint) }
    }

    /// The token behind an `Authorization` header.
    pub(crate) fn authenticate(&self, bearer: Option<&str>) -> Result<Token, Denial> {
        let bearer = bearer.ok_or(Denial::Missing)?;
        let Some(token) = self.known.iter().find(|t| t.secret == bearer) else {
            return Err(if bearer.starts_with("spideriq_pat_") {
                Denial::UnknownPat
            } else if triple(bearer).is_some() {
                Denial::UnknownTriple
            } else {
                Denial::Unreadable
            });
        };
        if let Some(at) = &token.expired_at {
            return Err(Denial::Expired { at: at.clone(), pat: token.pat });
        }
        if self.inactive.contains(&token.client) {
            return Err(Denial::Inactive);
        }
        Ok(token.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_their_client() {
        for (text, client) in [
            ("cli_a:sk_b:secret_c", Some("cli_a")),
            ("spideriq_pat_agent7_abc", Some("cli_agent7")),
            ("spideriq_pat_my_agent_abc=cli_a", Some("cli_a")),
            ("spideriq_pat_0123456789abcdef0123456789abcdef", Some("cli_pat")),
            ("cli_a:sk_b", None),
            ("cli_a:sk_b:secret_c:d", None),
            ("spideriq_pat_", None),
            ("spideriq_pat_a_b=", None),
            ("hello", None),
        ] {
            let got = Token::parse(text).map(|t| t.client);
            assert_eq!(got.as_deref().ok(), client, "{text}");
        }
    }

    #[test]
    fn errors_never_repeat_the_token() {
        let text = "canary:token";
        assert!(!format!("{:#}", Token::parse(text).unwrap_err()).contains("canary"));
    }
}
