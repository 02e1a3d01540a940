//! Reads a token out of a Secret.

use k8s_openapi::api::core::v1::Secret;

use crate::spideriq::{Credentials, CredentialsError};

/// Why a Secret holds no usable token. Names keys, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Keys are missing.
    #[error("Secret {0} has neither the key token nor the keys clientID, apiKey and apiSecret")]
    Keys(String),
    /// A value is not text.
    #[error("key {1} of Secret {0} is not text")]
    Text(String, &'static str),
    /// The token cannot be one.
    #[error("Secret {0}: {1}")]
    Token(String, CredentialsError),
}

/// The credentials in a Secret: the key `token`, else the three parts of a triple.
///
/// # Errors
/// If keys are missing, or hold what no token can be.
pub fn from_secret(name: &str, secret: &Secret) -> Result<Credentials, SecretError> {
    let value = |key: &'static str| {
        let found = secret.data.as_ref().and_then(|data| data.get(key));
        let text = found.map(|bytes| std::str::from_utf8(&bytes.0).map(str::trim));
        text.transpose().map_err(|_| SecretError::Text(name.to_owned(), key))
    };
    let token = match value("token")? {
        Some(token) => token.to_owned(),
        None => match (value("clientID")?, value("apiKey")?, value("apiSecret")?) {
            (Some(id), Some(key), Some(secret)) => format!("{id}:{key}:{secret}"),
            _ => return Err(SecretError::Keys(name.to_owned())),
        },
    };
    Credentials::new(&token).map_err(|error| SecretError::Token(name.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;

    use super::{SecretError, from_secret};

    fn secret(entries: &[(&str, &[u8])]) -> Secret {
        let data =
            entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn both_forms_are_read_and_what_is_missing_is_named_without_a_value() {
        let triple: &[(&str, &[u8])] =
            &[("clientID", b"cli_a\n"), ("apiKey", b"sk_b"), ("apiSecret", b"secret_c")];
        assert_eq!(from_secret("s", &secret(triple)).unwrap().client_id(), Some("cli_a"));
        assert_eq!(
            from_secret("s", &secret(&[("token", b"cli_x:sk_y:secret_z\n")])).unwrap().client_id(),
            Some("cli_x")
        );
        assert_eq!(
            from_secret("s", &secret(&[("clientID", b"cli_a")])).unwrap_err(),
            SecretError::Keys("s".into())
        );
        assert_eq!(
            from_secret("s", &secret(&[("token", b"\xff")])).unwrap_err(),
            SecretError::Text("s".into(), "token")
        );
        let odd = from_secret("s", &secret(&[("token", b"canary canary")])).unwrap_err();
        assert!(!odd.to_string().contains("canary"), "{odd}");
    }
}
