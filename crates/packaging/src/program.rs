//! The programs that images are made of.

/// A program, and how an image starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name, and that of its image.
    pub name: &'static str,
    /// The package of this workspace that it is built from; empty where it is built elsewhere.
    pub package: &'static str,
    /// What people see of it.
    pub description: &'static str,
    /// Its path in the image, without a slash in front.
    pub path: &'static str,
    /// The words that it is started with.
    pub arguments: &'static [&'static str],
    /// The user that it runs as: by number, so that the kubelet can tell that it is not root.
    pub user: &'static str,
    /// Its environment.
    pub environment: &'static [&'static str],
}

/// The operator.
pub const OPERATOR: Program = Program {
    name: "spideriq-operator",
    package: "spideriq-operator",
    description: "Makes a SpiderIQ scraping job a Kubernetes resource",
    path: "usr/local/bin/spideriq-operator",
    arguments: &["run"],
    user: "65532:65532",
    // How glibc keeps what was freed: one heap for all threads, and pieces of 128 KiB and more are given back. Else a start
    // beside thousands of finished jobs would leave as much again behind (`docs/benchmarks.md`).
    environment: &["MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_TRIM_THRESHOLD_=131072"],
};

/// The service for tests on a node.
pub const EMULATOR: Program = Program {
    name: "spideriq-emulator",
    package: "emulator",
    description: "The SpiderIQ service, for tests",
    path: "usr/local/bin/spideriq-emulator",
    arguments: &[],
    user: "65532:65532",
    environment: &[],
};

/// What holds the namespaces of the pods of a node for tests.
pub const PAUSE: Program = Program {
    name: "pause",
    package: "",
    description: "Holds the namespaces of a pod, for tests",
    path: "pause",
    arguments: &[],
    user: "65535:65535",
    environment: &[],
};
