//! Who is who on a node: certificates, tokens and kubeconfigs, all made anew for each node.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use super::family::Family;
use crate::control_plane::token;

/// The name of the node.
pub(super) const NODE: &str = "node1";

/// Who talks to the API server: the name of the kubeconfig, the user, and its group.
const USERS: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kubelet", "system:node:node1", "system:nodes"),
    ("proxy", "system:kube-proxy", ""),
    ("dns", "system:coredns", ""),
];

/// Writes all of it into a folder.
///
/// # Errors
/// If it cannot be made or written.
pub(super) fn write(folder: &Path, family: Family) -> anyhow::Result<()> {
    let pki = folder.join("pki");
    fs::create_dir_all(&pki)?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "spideriq-node");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    fs::write(pki.join("ca.crt"), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);
    let certificate =
        |name: &str, (user, group): (&str, Option<&str>), names: &[&str]| -> anyhow::Result<()> {
            let mut params =
                CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
            params.distinguished_name.push(DnType::CommonName, user);
            if let Some(group) = group {
                params.distinguished_name.push(DnType::OrganizationName, group);
            }
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            let key = KeyPair::generate()?;
            fs::write(pki.join(format!("{name}.crt")), params.signed_by(&key, &issuer)?.pem())?;
            fs::write(pki.join(format!("{name}.key")), key.serialize_pem())?;
            Ok(())
        };
    let api = [
        family.node(),
        family.api_service(),
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    certificate("apiserver", ("kube-apiserver", None), &api)?;
    certificate("kubelet", (NODE, None), &[family.node(), NODE])?;
    certificate("kubelet-client", ("apiserver-kubelet-client", Some("system:masters")), &[])?;
    let tokens = KeyPair::generate()?;
    fs::write(pki.join("service-account.key"), tokens.serialize_pem())?;
    fs::write(pki.join("service-account.pub"), tokens.public_key_pem())?;
    let mut known = Vec::new();
    for (name, user, group) in USERS {
        let token = token()?;
        known.push(format!("{token},{user},{user},\"{group}\"\n"));
        fs::write(folder.join(format!("{name}.kubeconfig")), kubeconfig(folder, family, &token)?)?;
    }
    fs::write(folder.join("tokens.csv"), known.concat())?;
    Ok(())
}

fn kubeconfig(folder: &Path, family: Family, token: &str) -> anyhow::Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "node", "cluster": {
            "server": format!("https://{}:6443", family.node_in_url()),
            "certificate-authority": folder.join("pki/ca.crt"),
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "user"}}],
        "current-context": "node",
    });
    Ok(serde_json::to_string_pretty(&config)?)
}
