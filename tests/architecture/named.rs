//! What a file names, calls and defines, by its syntax. Tests at its end are left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::Visit;

/// What a file names.
#[derive(Default)]
pub(crate) struct Named {
    pub(crate) rooms: BTreeSet<String>,
    pub(crate) words: BTreeSet<String>,
    pub(crate) asynchronous: bool,
    /// The methods that it calls, with the number of their arguments.
    pub(crate) calls: BTreeSet<(String, usize)>,
    /// Its functions, with the number of their lines.
    pub(crate) functions: Vec<(String, usize)>,
}

impl Named {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        self.functions.push((signature.ident.to_string(), last + 1 - first));
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [first, room, ..] = segments.as_slice()
            && first == "crate"
        {
            self.rooms.insert(room.clone());
        }
        self.words.extend(segments);
        syn::visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.calls.insert((call.method.to_string(), call.args.len()));
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, true, false);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let tests = item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"));
        if !tests {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.asynchronous |= signature.asyncness.is_some();
        syn::visit::visit_signature(self, signature);
    }
}

impl Named {
    fn tree(&mut self, tree: &syn::UseTree, first: bool, in_crate: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                let name = path.ident.to_string();
                if in_crate {
                    self.rooms.insert(name.clone());
                }
                let root = first && name == "crate";
                self.words.insert(name);
                self.tree(&path.tree, false, root);
            }
            syn::UseTree::Name(name) => self.leaf(name.ident.to_string(), in_crate),
            syn::UseTree::Rename(rename) => self.leaf(rename.ident.to_string(), in_crate),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, first, in_crate));
            }
            syn::UseTree::Glob(_) => {}
        }
    }

    fn leaf(&mut self, name: String, in_crate: bool) {
        if in_crate {
            self.rooms.insert(name.clone());
        }
        self.words.insert(name);
    }
}

pub(crate) fn named(file: &Path) -> Named {
    let syntax = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
    let mut named = Named::default();
    named.visit_file(&syntax);
    named
}
