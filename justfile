# `just` lists what can be done.
_default:
    @just --list --unsorted

# Run the service on this machine: http://127.0.0.1:3000
dev *ARGS:
    cargo run -- {{ARGS}}

# Send students through the whole way: `just demo --students 500`
demo *ARGS:
    cargo run -- demo {{ARGS}}

# Everything that a change must pass; or only some steps: `just test unit api`
test *STEPS:
    ./scripts/test {{STEPS}}

# Format, and let clippy look
lint:
    cargo fmt
    cargo clippy --locked --all-targets --features faults -- -D warnings

# Write the OpenAPI document, the list of operations and the TypeScript client anew
generate:
    cargo run -- openapi
    npm run generate --prefix clients/typescript

# Look at changed snapshots one by one
review:
    cargo insta review

# Measure speed and size beside bare programs, in one run, as a table
bench *ARGS:
    ./scripts/bench {{ARGS}}

# Licences and advisories of all dependencies
deny:
    cargo deny check

# Configuration: which keys there are, and what is wrong with those that are set
check:
    cargo run -- check
