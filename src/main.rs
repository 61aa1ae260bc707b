//! Parses the command line and calls it; nothing else.

fn main() -> std::process::ExitCode {
    orientation::cli::main()
}
