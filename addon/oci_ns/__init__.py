"""Registry proxying (`ns`) for clients that do not know it: a pure decision, and the mitmproxy hooks around it."""
