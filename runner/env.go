package runner

// BaseEnv is the part of an agent's environment that its tasks may see.
// Everything else stays with the agent.
func BaseEnv(environ []string) []string { return nil }
