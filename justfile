# `just` lists the recipes.
_default:
    @just --list --unsorted

# Run the service on this machine: http://127.0.0.1:3000
dev *ARGS:
    cargo run -- {{ARGS}}

# Simulate students from sign-up to ticket: `just demo --students 500`
demo *ARGS:
    cargo run -- demo {{ARGS}}

# Rehearse the opening of a sale: `just rehearse --buyers 1000 --places 100`
rehearse *ARGS:
    cargo run --release -- rehearse {{ARGS}}

# Run every check that a change must pass, or some of them: `just test unit api`
test *STEPS:
    ./scripts/test {{STEPS}}

# Format the code and run clippy
lint:
    cargo fmt
    cargo clippy --locked --all-targets --features faults -- -D warnings

# Generate the OpenAPI document, the list of operations, the TypeScript client and docs/what-is-kept.md
generate:
    cargo run -- openapi
    cargo run -- privacy > docs/what-is-kept.md
    npm run generate --prefix clients/typescript

# Review changed snapshots one by one
review:
    cargo insta review

# Measure speed and size next to minimal programs, as a table
bench *ARGS:
    ./scripts/bench {{ARGS}}

# Check the licences and advisories of all dependencies
deny:
    cargo deny check

# Check the configuration and try each dependency
check:
    cargo run -- check
