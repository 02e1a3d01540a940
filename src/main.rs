//! scratch
fn main() -> anyhow::Result<()> {
    for crd in spideriq_operator::api::crds()? { println!("---\n{}", spideriq_operator::api::to_yaml(&crd)?); }
    Ok(())
}
