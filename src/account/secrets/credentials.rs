//! Reads a token out of a Secret.

use k8s_openapi::api::core::v1::Secret;

use crate::spideriq::{Credentials, CredentialsError};

/// Why a Secret holds no usable token. Names keys, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Keys are missing.
    #[error(
        "Secret {0} has neither the key token nor the keys clientID, apiKey and apiSecret. Add the key token."
    )]
    Keys(String),
    /// A value is not text.
    #[error("Key {1} of Secret {0} is not text. Store the token as it was given to you.")]
    Text(String, &'static str),
    /// The token cannot be one.
    #[error("Secret {0} holds no token: {1}. Store the token as it was given to you.")]
    Token(String, CredentialsError),
    /// It is one of the cluster's own.
    #[error(
        "Secret {0} has the type {1}, which belongs to the cluster, so it is never sent. Use one of the type Opaque."
    )]
    Type(String, String),
}

/// What says of a Secret that its token is meant for the service, although it does not look like one of the service's.
const LABEL: &str = "spideriq.ai/credentials";

/// Whether the Secret's own label gives its token to the service.
pub fn is_labelled(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(LABEL)).is_some_and(|value| value == "true")
}

/// What to do about a token that does not look like one of the service's.
pub fn needs_label(name: &str) -> String {
    format!(
        "The token of Secret {name} is neither a triple cli_…:sk_…:secret_… nor a spideriq_pat_…, so it may be another service's. If it is SpiderIQ's, label the Secret {LABEL}: \"true\"."
    )
}

/// Whether a Secret is one of the cluster's own, by the domain of its type: the API server and its controllers make and
/// use those, and whoever may name one in an account need not be allowed to read it.
fn is_the_clusters(type_: &str) -> bool {
    let domain = type_.split('/').next().unwrap_or_default();
    ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|own| domain.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// The credentials in a Secret: the key `token`, else the three parts of a triple.
///
/// # Errors
/// If it is one of the cluster's own, or keys are missing, or hold what no token can be.
pub fn from_secret(name: &str, secret: &Secret) -> Result<Credentials, SecretError> {
    if let Some(type_) = secret.type_.as_deref().filter(|type_| is_the_clusters(type_)) {
        let shown = type_.chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(SecretError::Type(name.to_owned(), shown));
    }
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
    fn the_clusters_own_secrets_are_never_read() {
        for (type_, refused) in [
            ("Opaque", false),
            ("example.com/token", false),
            ("notkubernetes.io/x", false),
            ("helm.sh/release.v1", false),
            ("kubernetes.io/service-account-token", true),
            ("kubernetes.io/basic-auth", true),
            ("kubernetes.io/x", true),
            ("bootstrap.kubernetes.io/token", true),
            ("node.k8s.io/x", true),
        ] {
            let mut secret = secret(&[("token", b"cli_a:sk_b:secret_c")]);
            secret.type_ = Some(type_.to_owned());
            assert_eq!(matches!(from_secret("s", &secret), Err(SecretError::Type(..))), refused, "{type_}");
        }
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
