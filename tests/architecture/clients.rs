//! Finds where two clients of the service are compared by a name, which only the place that knows of aliases may do.

use syn::spanned::Spanned;
use syn::visit::Visit;

/// The fields that carry the name of a client.
const NAMES: [&str; 2] = ["client_id", "alias"];

/// The lines of a file that compare such names.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) lines: Vec<usize>,
}

impl Compared {
    fn note(&mut self, compares: bool, what: &impl Spanned) {
        if compares {
            self.lines.push(what.span().start().line);
        }
    }
}

/// Whether an expression reads the name of a client.
fn names(expression: &impl Spanned) -> bool {
    let text = expression.span().source_text().unwrap_or_default();
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| NAMES.contains(&word))
}

impl<'ast> Visit<'ast> for Compared {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let equates = matches!(binary.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_));
        // What stands within either side is looked at by itself.
        let read = |side: &syn::Expr| names(side) && !matches!(side, syn::Expr::Binary(_));
        self.note(equates && (read(&binary.left) || read(&binary.right)), binary);
        syn::visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.note(call.method == "zip" && names(call), call);
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_tuple(&mut self, tuple: &'ast syn::ExprTuple) {
        self.note(tuple.elems.iter().filter(|part| names(*part)).count() > 1, tuple);
        syn::visit::visit_expr_tuple(self, tuple);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg")) {
            syn::visit::visit_item_mod(self, item);
        }
    }
}
