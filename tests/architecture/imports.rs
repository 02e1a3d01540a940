//! Which file imports what from which, by the names that the sources use.
//!
//! A name that is handed on counts as one of the file that defines it. Tests at the end of a file are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// The path of a module from the root of its crate.
type ModulePath = Vec<String>;

/// The sources of one crate.
pub(crate) struct Imports {
    root: PathBuf,
    modules: BTreeMap<ModulePath, Module>,
}

/// What one module has and names.
#[derive(Default)]
struct Module {
    file: PathBuf,
    items: BTreeSet<String>,
    /// Types that it has an `impl` of.
    impls: BTreeSet<String>,
    /// What it imports, by the name that it uses for it.
    uses: BTreeMap<String, ModulePath>,
    globs: Vec<ModulePath>,
    /// What it only hands on, unless its code names it, too.
    handed_on: BTreeSet<String>,
    /// Every path in its code.
    paths: BTreeSet<ModulePath>,
}

/// For each file the files that it imports from, and the names.
pub(crate) type Edges = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

impl Imports {
    /// Reads the sources below a folder.
    pub(crate) fn read(root: &Path) -> Self {
        let mut modules = BTreeMap::new();
        for file in super::files(root) {
            let relative = file.strip_prefix(root).unwrap().with_extension("");
            let mut path: ModulePath =
                relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
                path.pop();
            }
            let syntax = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
            // A crate with both has two roots; what is below them belongs to the library.
            if file.ends_with("main.rs") && root.join("lib.rs").exists() {
                path.push("main".to_owned());
            }
            let mut reader = Reader { file, at: path.clone(), modules: BTreeMap::new() };
            reader.module();
            reader.visit_file(&syntax);
            modules.extend(reader.modules);
        }
        Self { root: root.to_owned(), modules }
    }

    /// Who imports what from whom. An `impl` of a folder's type in a file of that folder is a part of that type.
    pub(crate) fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (at, module) in &self.modules {
            let named = |name: &String| module.paths.iter().any(|path| path.first() == Some(name));
            let imported =
                module.uses.iter().filter(|(name, _)| !module.handed_on.contains(*name) || named(name));
            let used = imported.map(|(_, path)| path).chain(&module.paths).chain(&module.globs);
            for (file, name) in used.filter_map(|path| self.definition(at, path, 0)) {
                let part_of_it = module.impls.contains(&name) && is_parent(&file, &module.file);
                if file != module.file && !part_of_it {
                    let (from, to) = (self.shown(&module.file), self.shown(&file));
                    edges.entry(from).or_default().entry(to).or_default().insert(name);
                }
            }
        }
        edges
    }

    /// The file that defines what a path means that stands in this module, and its name there.
    fn definition(&self, at: &ModulePath, path: &[String], depth: usize) -> Option<(PathBuf, String)> {
        let (mut place, mut rest) = self.begin(at, path)?;
        while let Some((first, others)) = rest.split_first() {
            let module = self.modules.get(&place)?;
            let child: ModulePath = place.iter().chain([first]).cloned().collect();
            if module.items.contains(first) {
                return Some((module.file.clone(), first.clone()));
            }
            if self.modules.contains_key(&child) {
                (place, rest) = (child, others);
                continue;
            }
            if depth > 8 {
                return None;
            }
            let handed_on = module.uses.get(first).map(|used| [used, others].concat());
            let by_glob = module.globs.iter().map(|glob| [glob, rest].concat());
            return handed_on
                .into_iter()
                .chain(by_glob)
                .find_map(|path| self.definition(&place, &path, depth + 1));
        }
        None
    }

    /// The module at which a path begins, and what is left of it; `None` for what is of another crate.
    fn begin<'a>(&self, at: &ModulePath, path: &'a [String]) -> Option<(ModulePath, &'a [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Vec::new(), rest)),
            "self" => Some((at.clone(), rest)),
            "super" => {
                let (mut place, mut rest) = (at.clone(), path);
                while let Some(("super", others)) = rest.split_first().map(|(a, b)| (a.as_str(), b)) {
                    place.pop();
                    rest = others;
                }
                Some((place, rest))
            }
            _ => {
                let module = self.modules.get(at)?;
                let child: ModulePath = at.iter().chain([first]).cloned().collect();
                let known = module.uses.contains_key(first) || self.modules.contains_key(&child);
                known.then(|| (at.clone(), path))
            }
        }
    }

    fn shown(&self, file: &Path) -> String {
        file.strip_prefix(&self.root).unwrap().display().to_string()
    }
}

/// Whether a file is the `mod.rs` of a folder above another file.
fn is_parent(parent: &Path, file: &Path) -> bool {
    parent.ends_with("mod.rs") && parent.parent().is_some_and(|folder| file.starts_with(folder))
}

/// The circles: files of which each imports, straight or through others, from each.
pub(crate) fn circles(edges: &Edges) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|file| (file.as_str(), reach(edges, file))).collect();
    let mut circles = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (file, others) in &reached {
        if !others.contains(file) || seen.contains(file) {
            continue;
        }
        let circle: BTreeSet<&str> = others
            .iter()
            .copied()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(file)))
            .collect();
        seen.extend(&circle);
        circles.push(circle.into_iter().map(str::to_owned).collect());
    }
    circles
}

fn reach<'a>(edges: &'a Edges, from: &str) -> BTreeSet<&'a str> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next) {
                open.push(next);
            }
        }
    }
    found
}

/// Reads one file into its modules: itself, and those that stand in it.
struct Reader {
    file: PathBuf,
    at: ModulePath,
    modules: BTreeMap<ModulePath, Module>,
}

impl Reader {
    fn module(&mut self) -> &mut Module {
        let file = self.file.clone();
        self.modules.entry(self.at.clone()).or_insert_with(|| Module { file, ..Module::default() })
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| -> ModulePath {
            before.iter().cloned().chain([name.to_string()]).filter(|part| part != "self").collect()
        };
        match tree {
            syn::UseTree::Path(path) => {
                let name = path.ident.to_string();
                let longer = before.iter().cloned().chain([name]).collect::<Vec<_>>();
                self.tree(&path.tree, &longer);
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let name = before.last().cloned().unwrap_or_default();
                self.module().uses.insert(name, before.to_vec());
            }
            syn::UseTree::Name(name) => {
                let path = with(&name.ident);
                self.module().uses.insert(name.ident.to_string(), path);
            }
            syn::UseTree::Rename(rename) => {
                let path = with(&rename.ident);
                self.module().uses.insert(rename.rename.to_string(), path);
            }
            syn::UseTree::Glob(_) => self.module().globs.push(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, before)),
        }
    }

    /// The paths in the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: ModulePath = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    self.keep(std::mem::replace(&mut path, vec![ident.to_string()]));
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    self.keep(std::mem::take(&mut path));
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.keep(std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.keep(path);
    }

    fn keep(&mut self, path: ModulePath) {
        if !path.is_empty() {
            self.module().paths.insert(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let name = defined(item);
        if let Some(name) = name {
            self.module().items.insert(name.to_string());
        }
        if let syn::Item::Struct(item) = item
            && let Some(made) = kube_kind(item)
        {
            self.module().items.insert(made);
        }
        if let syn::Item::Impl(item) = item
            && let syn::Type::Path(path) = item.self_ty.as_ref()
            && let Some(last) = path.path.segments.last()
        {
            self.module().impls.insert(last.ident.to_string());
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let before: BTreeSet<String> = self.module().uses.keys().cloned().collect();
        self.tree(&item.tree, &[]);
        if !matches!(item.vis, syn::Visibility::Inherited) {
            let module = self.module();
            let new = module.uses.keys().filter(|name| !before.contains(*name)).cloned();
            module.handed_on.extend(new);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() && !is_test(&item.attrs) {
            self.at.push(item.ident.to_string());
            self.module();
            syn::visit::visit_item_mod(self, item);
            self.at.pop();
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.keep(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }
}

/// The name that an item defines.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what syn may add defines nothing that is imported by name"
)]
fn defined(item: &syn::Item) -> Option<&syn::Ident> {
    match item {
        syn::Item::Const(item) => Some(&item.ident),
        syn::Item::Enum(item) => Some(&item.ident),
        syn::Item::Fn(item) => Some(&item.sig.ident),
        syn::Item::Static(item) => Some(&item.ident),
        syn::Item::Struct(item) => Some(&item.ident),
        syn::Item::Trait(item) => Some(&item.ident),
        syn::Item::Type(item) => Some(&item.ident),
        syn::Item::Macro(item) => item.ident.as_ref(),
        _ => None,
    }
}

/// The kind that `#[kube(kind = "…")]` makes of a struct.
fn kube_kind(item: &syn::ItemStruct) -> Option<String> {
    let mut kind = None;
    for attribute in item.attrs.iter().filter(|attribute| attribute.path().is_ident("kube")) {
        let _other_keys = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("kind") {
                kind = Some(meta.value()?.parse::<syn::LitStr>()?.value());
            }
            Ok(())
        });
    }
    kind
}
