//! What a gateway promises.

mod double;
