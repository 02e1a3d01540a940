//! What proves to the service who asks. A token is never shown: not in Debug, an error, a log or a URL.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The longest token that is taken; the documented ones have under 200 characters.
const LONGEST: usize = 4096;

/// A bearer token, either a triple `client_id:api_key:api_secret` or an opaque one (contract section 1).
#[derive(Clone, Debug)]
pub struct Credentials {
    token: SecretString,
    client_id: Option<String>,
}

/// Why a token cannot be used. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// There is nothing in it.
    #[error("the token is empty")]
    Empty,
    /// It holds something that cannot stand in a header.
    #[error("the token holds characters that a token cannot have, such as a space or a line break")]
    Characters,
    /// It is too long.
    #[error("the token is longer than any token is")]
    Long,
}

impl Credentials {
    /// Takes a token. White space around it is dropped, because files end with a line break.
    ///
    /// # Errors
    /// If it is empty, too long, or could not stand in a header.
    pub fn new(token: &str) -> Result<Self, CredentialsError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(CredentialsError::Empty);
        }
        if token.len() > LONGEST {
            return Err(CredentialsError::Long);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CredentialsError::Characters);
        }
        let mut parts = token.split(':');
        let client_id = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(id), Some(key), Some(secret), None) if ![id, key, secret].contains(&"") => {
                (id.len() <= 128).then(|| id.to_owned())
            }
            _ => None,
        };
        Ok(Self { token: token.into(), client_id })
    }

    /// The client that a triple names.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Whether a stream of events is documented for its form: that of a triple.
    pub fn may_stream(&self) -> bool {
        self.client_id.is_some()
    }

    /// Whether it has a form that the service documents: a triple, or a token that begins as the service's own do. Any other
    /// may be another service's.
    pub fn is_documented(&self) -> bool {
        let token = self.expose();
        let mut parts = token.split(':');
        let triple = ["cli_", "sk_", "secret_"].iter().all(|prefix| {
            parts.next().and_then(|part| part.strip_prefix(prefix)).is_some_and(|rest| !rest.is_empty())
        });
        let own = token.strip_prefix("spideriq_pat_").is_some_and(|rest| !rest.is_empty());
        (triple && parts.next().is_none()) || own
    }

    /// A short hash that tells tokens apart and shows nothing of them.
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(self.token.expose_secret())).chars().take(16).collect()
    }

    /// The token, for the one header that carries it and for taking it out of texts.
    pub(super) fn expose(&self) -> &str {
        self.token.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, CredentialsError};

    #[test]
    fn tokens_of_both_forms_are_taken_and_odd_ones_are_not() {
        let triple = Credentials::new("cli_a:sk_b:secret_c\n").unwrap();
        assert_eq!(triple.client_id(), Some("cli_a"));
        assert_eq!(Credentials::new("spideriq_pat_x_y").unwrap().client_id(), None);
        for (bad, expected) in [
            (" \n", CredentialsError::Empty),
            ("a\r\nX-Evil: 1", CredentialsError::Characters),
            ("a b", CredentialsError::Characters),
            ("a\0b", CredentialsError::Characters),
        ] {
            assert_eq!(Credentials::new(bad).unwrap_err(), expected, "{bad:?}");
        }
        assert_eq!(Credentials::new(&"x".repeat(5000)).unwrap_err(), CredentialsError::Long);
    }

    #[test]
    fn only_what_the_service_documents_is_taken_for_its_own() {
        for (token, own) in [
            ("cli_a:sk_b:secret_c", true),
            ("cli_a:sk_b:secret_", false),
            ("cli_a:sk_b:secret_c:d", false),
            ("cli_a:sk_b", false),
            ("a:b:c", false),
            ("CLI_a:sk_b:secret_c", false),
            ("spideriq_pat_0123", true),
            ("spideriq_pat_", false),
            ("xspideriq_pat_0123", false),
            ("ghp_0123456789", false),
            ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln", false),
            ("dckr_pat_x", false),
        ] {
            assert_eq!(Credentials::new(token).unwrap().is_documented(), own, "{token}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let credentials = Credentials::new("cli_a:sk_canary:secret_canary").unwrap();
        assert!(!format!("{credentials:?}").contains("canary"));
        assert!(!credentials.fingerprint().contains("canary"));
    }
}
