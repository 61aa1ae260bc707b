//! The pages of a feature, and those of the whole service.

use poem::endpoint::BoxEndpoint;
use poem::{EndpointExt, IntoEndpoint, Route};

/// Pages by path. Each feature makes its list, and [`Pages::and`] joins the lists.
#[derive(Default)]
pub struct Pages {
    entries: Vec<Entry>,
    any_origin: Vec<&'static str>,
}

enum Entry {
    At(&'static str, BoxEndpoint<'static>),
    Below(&'static str, BoxEndpoint<'static>),
}

impl Pages {
    /// No pages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a page at a path, which can have parameters (`/sandbox/checkout/:session`).
    pub fn at<E>(mut self, path: &'static str, page: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        self.entries.push(Entry::At(path, page.map_to_response().boxed()));
        self
    }

    /// Adds a page whose forms may be sent from any origin, because it does nothing by the session.
    pub fn at_any_origin<E>(mut self, path: &'static str, page: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        self.any_origin.push(path);
        self.at(path, page)
    }

    /// Paths of the pages whose forms may be sent from any origin.
    pub fn any_origin(&self) -> &[&'static str] {
        &self.any_origin
    }

    /// Adds pages at and below a path.
    pub fn below<E>(mut self, path: &'static str, pages: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        self.entries.push(Entry::Below(path, pages.map_to_response().boxed()));
        self
    }

    /// Adds all of `others`.
    pub fn and(mut self, others: Self) -> Self {
        self.entries.extend(others.entries);
        self.any_origin.extend(others.any_origin);
        self
    }

    /// The endpoint that serves them.
    ///
    /// # Panics
    /// If two pages have the same path. The first start shows the mistake.
    pub fn into_route(self) -> Route {
        self.entries.into_iter().fold(Route::new(), |route, entry| match entry {
            Entry::At(path, page) => route.at(path, page),
            Entry::Below(path, pages) => route.nest(path, pages),
        })
    }
}
