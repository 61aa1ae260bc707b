//! Runs the command line.

fn main() -> std::process::ExitCode {
    orientation::cli::main()
}
