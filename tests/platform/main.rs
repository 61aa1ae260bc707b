//! What the platform promises, held by every adapter: one binary, since each links the world.

mod jobs;
mod signals;
mod store;
