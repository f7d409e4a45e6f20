package mesh

import (
	"fmt"
	"maps"
	"slices"
)

// The texts of checks are filled in as those of their task are, when an attempt of it begins to be
// checked. So they refer only to what stays as it is while the task runs, whatever agent looks after
// it: not to services, nor to what people may change of a node.

// Fill is the check with its texts replaced by what do makes of them; it is told their keys.
func (c Check) Fill(do func(text string, keys ...string) (string, error)) (Check, error) {
	var failed error
	fill := func(text string, keys ...string) string {
		filled, err := do(text, keys...)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", pathOf(keys), err)
		}
		return filled
	}
	c.Command = slices.Clone(c.Command)
	for i := range c.Command {
		c.Command[i] = fill(c.Command[i], "command", fmt.Sprint(i))
	}
	c.Headers = maps.Clone(c.Headers)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		c.Headers[name] = fill(c.Headers[name], "headers", name)
	}
	c.Path, c.Body = fill(c.Path, "path"), fill(c.Body, "body")
	c.Contains, c.Service = fill(c.Contains, "contains"), fill(c.Service, "grpc_service")
	return c, failed
}

// pathOf is "command[1]" or "headers.X-A".
func pathOf(keys []string) string {
	switch {
	case len(keys) == 1:
		return keys[0]
	case keys[0] == "command":
		return fmt.Sprintf("command[%s]", keys[1])
	}
	return keys[0] + "." + keys[1]
}

// filled finds what is wrong with the references of a task's checks, or those of the job's own services:
// these are filled in for whatever task has the port, so they have only what all tasks are told.
func (v *validator) filled(services []ServiceDef, env map[string]string, known, labels []string) {
	for i := range services {
		for j := range services[i].Checks {
			at := within("service", fmt.Sprint(i), "check", fmt.Sprint(j))
			c := services[i].Checks[j]
			if len(c.Command) > argsMax || len(c.Headers) > headersMax {
				continue // told already
			}
			_, _ = c.Fill(func(text string, keys ...string) (string, error) {
				v.references(text, known, labels, at(keys...)...)
				if ref := fleeting(text, env, map[string]bool{}); ref != "" {
					const why = "which may change while the task runs: a check is filled in once"
					v.fault("refers to ${%s}, %s", clip(ref), why).at(at(keys...)...)
				}
				return text, nil
			})
		}
	}
}

// fleeting is a reference in a text, or in the variables that it refers to, to what may change while a task
// runs; or "".
func fleeting(text string, env map[string]string, seen map[string]bool) (found string) {
	_, _ = Expand(text, func(name string) (string, error) {
		r, err := ParseReference(name)
		switch {
		case found != "" || err != nil:
		case r.Space == SpaceService, r.Space == SpaceNode && r.Key != "id" && r.Key != "name":
			found = name
		case r.Space == SpaceEnv && !seen[r.Key]:
			seen[r.Key] = true
			found = fleeting(env[r.Key], env, seen)
		}
		return "", nil
	})
	return found
}
