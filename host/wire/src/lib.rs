//! JSON shapes of the HTTP API and its typed client, shared by server, agent and command line.
