//! Runs policies: WebAssembly components behind the WIT interfaces.
