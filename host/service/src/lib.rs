//! Use cases over ports: thin drivers of the model's machines.
