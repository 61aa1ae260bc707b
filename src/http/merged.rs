//! Operations of several features at one path.

use std::collections::HashMap;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::OpenApi;
use poem_openapi::registry::{MetaApi, MetaPath, Registry};

/// Controllers that may have paths in common. The framework routes them correctly, but writes such a path twice into the
/// document, where the second one hides the first.
pub(super) struct Merged<C>(pub C);

impl<C: OpenApi> OpenApi for Merged<C> {
    fn meta() -> Vec<MetaApi> {
        let mut paths: Vec<MetaPath> = vec![];
        for path in C::meta().into_iter().flat_map(|api| api.paths) {
            match paths.iter_mut().find(|known| known.path == path.path) {
                Some(known) => known.operations.extend(path.operations),
                None => paths.push(path),
            }
        }
        vec![MetaApi { paths }]
    }

    fn register(registry: &mut Registry) {
        C::register(registry);
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        self.0.add_routes(routes);
    }
}
