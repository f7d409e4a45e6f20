package mesh

import "testing"

// offers is a good job whose first task offers a service with a check.
func offers(spoil func(j *Job, s *ServiceDef, c *Check)) func(*Job) {
	return func(j *Job) {
		t := &j.Tasks[0]
		t.Ports = append(t.Ports, PortRequest{Label: "api"}, PortRequest{Label: "dgram", Protocol: ProtocolUDP})
		t.Services = []ServiceDef{{Name: "llm", Port: "api", Checks: []Check{{Type: CheckHTTP}}}}
		spoil(j, &t.Services[0], &t.Services[0].Checks[0])
	}
}

func TestValidateFindsBadServices(t *testing.T) {
	no := false
	checkFaults(t, []spoiled{
		{"good", offers(func(*Job, *ServiceDef, *Check) {}), ""},
		{"all that a check has", offers(func(_ *Job, s *ServiceDef, c *Check) {
			s.Tags, s.Meta, s.Restart = []string{"a", "b"}, map[string]string{"k": "v"}, &CheckRestart{Limit: 3}
			*c = Check{
				Name: "ready", Type: CheckHTTP, Port: "9000", Interval: Duration(checkIntervalMin), Required: &no,
				SuccessBeforePassing: 2, FailuresBeforeWarning: 2, FailuresBeforeCritical: 3, Scheme: "https", Method: "HEAD",
				Path: "/x?y=%20", Headers: map[string]string{"X-A": "b"}, ExpectedStatus: []Value{"200", "204-299", "301..302"},
			}
		}), ""},
		{
			"names", offers(func(_ *Job, s *ServiceDef, c *Check) { s.Name, c.Name = "", "a b" }),
			`task "web": service.0.name: the service's name is missing` + "\n" +
				`task "web": service.0.check.0.name: "a b" is not a name: want 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit`,
		},
		{
			"two of a name", offers(func(j *Job, s *ServiceDef, _ *Check) {
				s.Checks = append(s.Checks, Check{Type: CheckHTTP})
				j.Tasks[0].Services = append(j.Tasks[0].Services, ServiceDef{Name: "llm"})
			}),
			`task "web": service.0.check.1.name: another check is called "http" too: give it a name of its own` + "\n" +
				`task "web": service.1.name: another service has the name "llm" too`,
		},
		{
			"port", offers(func(_ *Job, s *ServiceDef, c *Check) { s.Port, c.Port = "apj", "70000" }),
			`task "web": service.0.port: no port of the copy has the label "apj"; did you mean "api"?` + "\n" +
				`task "web": service.0.check.0.port: must be from 1 to 65535, or a label, not 70000`,
		},
		{
			"no port", offers(func(_ *Job, s *ServiceDef, _ *Check) { s.Port = "" }),
			`task "web": service.0.check.0.port: is missing: neither the check nor its service has one`,
		},
		{
			"a port of UDP", offers(func(_ *Job, s *ServiceDef, c *Check) { s.Port, c.Port = "dgram", "dgram" }),
			`task "web": service.0.check.0.port: "dgram" is a port of UDP, on which no check can connect`,
		},
		{
			"times", offers(func(_ *Job, _ *ServiceDef, c *Check) {
				c.Interval, c.Timeout, c.Grace, c.FailuresBeforeWarning = 1, Duration(checkTimeoutMax), -1, 2
			}),
			`task "web": service.0.check.0.interval: must be at least 1s, not 1ns` + "\n" +
				`task "web": service.0.check.0.timeout: must be at most 1s, not 5m` + "\n" +
				`task "web": service.0.check.0.grace: must not be negative, as -1ns is` + "\n" +
				`task "web": service.0.check.0.failures_before_warning: is 2, and after 1 the check is critical already`,
		},
		{"what its task is told", offers(func(j *Job, s *ServiceDef, c *Check) {
			j.Tasks[0].Env = map[string]string{"TOKEN": "of ${node.name} ${MN_JOB}"}
			j.Services = []ServiceDef{{Name: "all", Port: "api", Checks: []Check{{Type: CheckHTTP, Path: "/${alloc.id}${MN_TASK}"}}}}
			c.Path, c.Body, c.Contains = "/${alloc.port.api}?$${x}", "${MN_PORT_API}", "${env.TOKEN}"
			c.Headers = map[string]string{"Authorization": "Bearer ${TOKEN}"}
		}), ""},
		{
			"what is unknown, or does not stay", offers(func(j *Job, s *ServiceDef, c *Check) {
				j.Tasks[0].Env = map[string]string{"DB": "at ${service.db.address}", "A": "${A}${B}", "B": "${A}"}
				j.Services = []ServiceDef{{Name: "all", Port: "api", Checks: []Check{{Type: CheckHTTP, Path: "/${DB}"}}}}
				c.Path, c.Body, c.Contains = "/${NOPE}", "${DB}${A}", "${node.label.rack}"
				c.Headers = map[string]string{"X-A": "${alloc.port.apj}"}
			}),
			`task "web": service.0.check.0.headers.X-A: no port of the copy has the label of ${alloc.port.apj}; did you mean ${alloc.port.api}?` + "\n" +
				`task "web": service.0.check.0.path: unknown variable ${NOPE}; it is not in env, and known are MN_JOB, MN_TASK, MN_ALLOC_ID, MN_ALLOC_INDEX, MN_NODE, MN_FENCE, MN_TASK_DIR, MN_ALLOC_DIR, MN_ALLOCATION_JSON, HOME, LANG, LC_ALL, PATH, TZ; $${ stands for ${` + "\n" +
				`task "web": service.0.check.0.body: refers to ${service.db.address}, which may change while the task runs: a check is filled in once` + "\n" +
				`task "web": service.0.check.0.contains: refers to ${node.label.rack}, which may change while the task runs: a check is filled in once` + "\n" +
				`service.0.check.0.path: unknown variable ${DB}; it is not in env, and known are MN_JOB, MN_TASK, MN_ALLOC_ID, MN_ALLOC_INDEX, MN_NODE, MN_FENCE, MN_TASK_DIR, MN_ALLOC_DIR, MN_ALLOCATION_JSON; $${ stands for ${`,
		},
		{
			"less than no failures", offers(func(_ *Job, _ *ServiceDef, c *Check) {
				c.FailuresBeforeWarning, c.FailuresBeforeCritical = 5, -2
			}),
			`task "web": service.0.check.0.failures_before_critical: must be from 1 to 1000, not -2`,
		},
		{
			"the port of a script", offers(func(_ *Job, _ *ServiceDef, c *Check) {
				*c = Check{Type: CheckScript, Port: "api", Command: []string{"x"}}
			}),
			`task "web": service.0.check.0.port: is of checks of type "tcp", "http" or "grpc", and this one is of type "script"`,
		},
		{
			"another type's keys", offers(func(_ *Job, _ *ServiceDef, c *Check) {
				*c = Check{Type: CheckScript, Path: "/", Command: []string{"x"}, Service: "y", Scheme: "http"}
			}),
			`task "web": service.0.check.0.scheme: is of checks of type "http" or "grpc", and this one is of type "script"` + "\n" +
				`task "web": service.0.check.0.path: is of checks of type "http", and this one is of type "script"` + "\n" +
				`task "web": service.0.check.0.grpc_service: is of checks of type "grpc", and this one is of type "script"`,
		},
		{
			"http", offers(func(_ *Job, _ *ServiceDef, c *Check) {
				c.Method, c.Path, c.Headers = "DELETE", "health", map[string]string{"a b": "", "c": "d\r\ne"}
				c.ExpectedStatus, c.Scheme = []Value{"99", "300-200", "ok"}, "ftp"
			}),
			`task "web": service.0.check.0.method: has unsupported value "DELETE"; supported: "GET", "HEAD", "POST", "PUT", "PATCH"` + "\n" +
				`task "web": service.0.check.0.path: "health" is no path of a URL: want one that begins with /, odd characters as %XX` + "\n" +
				`task "web": service.0.check.0.headers.a b: "a b" is no name of a header` + "\n" +
				`task "web": service.0.check.0.headers.c: has a new line in it` + "\n" +
				`task "web": service.0.check.0.expected_status: "99" is neither a status from 100 to 599 nor a range such as "200-299"` + "\n" +
				`task "web": service.0.check.0.expected_status: "300-200" is neither a status from 100 to 599 nor a range such as "200-299"` + "\n" +
				`task "web": service.0.check.0.expected_status: "ok" is neither a status from 100 to 599 nor a range such as "200-299"` + "\n" +
				`task "web": service.0.check.0.scheme: has unsupported value "ftp"; supported: "http", "https"`,
		},
		{
			"script and gpu", offers(func(_ *Job, s *ServiceDef, c *Check) {
				*c, s.Checks = Check{Type: CheckScript}, append(s.Checks, Check{Type: CheckGPU})
				s.Checks[0] = *c
			}),
			`task "web": service.0.check.0.command: is missing: what a script check runs, as a list` + "\n" +
				`task "web": service.0.check.1.type: is about the devices of the task, and it asks for none`,
		},
		{
			"external", func(j *Job) {
				j.Services = []ServiceDef{
					{Name: "db", Address: "db.example.org", Port: "5432", Checks: []Check{{}}},
					{Name: "db2", Address: "-x", Port: "api", Restart: &CheckRestart{}, Checks: []Check{{Type: CheckScript, Command: []string{"x"}}}},
					{Name: "db3", Address: "::1"},
				}
			},
			`service.1.address: "-x" is no host name or IP address` + "\n" +
				`service.1.port: "api" is no number, and nobody knows the labels of another's ports` + "\n" +
				`service.1.check.0.type: runs where a task does, and the job as a whole has no such place` + "\n" +
				`service.1.check_restart: restarts a task that offers the service, and none does: leave it out` + "\n" +
				`service.2.port: is missing: the port of the address`,
		},
		{
			"restart", offers(func(_ *Job, s *ServiceDef, _ *Check) { s.Restart = &CheckRestart{} }),
			`task "web": service.0.check_restart.limit: must be from 1 to 1000, not 0`,
		},
		{
			"restart by no check", offers(func(_ *Job, s *ServiceDef, _ *Check) { s.Checks, s.Restart = nil, &CheckRestart{Limit: 1} }),
			`task "web": service.0.check_restart: is about the checks of the service, and it has none`,
		},
		{
			"tags", offers(func(_ *Job, s *ServiceDef, _ *Check) { s.Tags = []string{"a", "a", "b c"} }),
			`task "web": service.0.tags: has "a" twice` + "\n" + `task "web": service.0.tags: "b c" is not a name`,
		},
		{
			"needs", func(j *Job) {
				j.Requires, j.Tasks[0].Requires = []ServiceNeed{{}}, []ServiceNeed{{Name: "vllm", Tags: []string{""}}}
			},
			`requires_service.0.name: the service's name is missing` + "\n" +
				`task "web": requires_service.0.tags: "" is not a name`,
		},
		{
			"its own", offers(func(j *Job, s *ServiceDef, _ *Check) {
				s.Name, s.Tags = "vllm", []string{"embedding", "large"}
				j.Requires = []ServiceNeed{{Name: "vllm", Tags: []string{"small"}}, {Name: "vllm", Tags: []string{"large"}}}
				j.Tasks[0].Requires = []ServiceNeed{{Name: "db"}, {Name: "vllm"}}
			}),
			`requires_service.1.name: is offered by the job itself, which would wait for itself: want another's` + "\n" +
				`task "web": requires_service.1.name: is offered by the same group itself, which would wait for itself: ` +
				`want another group's, or job's`,
		},
		{
			"of another group", offers(func(j *Job, s *ServiceDef, _ *Check) {
				other := Task{Name: "other", Command: []string{"x"}, Requires: []ServiceNeed{{Name: s.Name}}}
				j.Tasks = append(j.Tasks, other)
			}),
			"",
		},
		{"before the work", offers(func(j *Job, _ *ServiceDef, _ *Check) {
			first := j.Tasks[0]
			first.Name, first.Group, first.Lifecycle, first.Ports = "first", "web", Prestart, nil
			j.Tasks[0].Group, j.Tasks[0].Services = "web", nil
			j.Tasks = append(j.Tasks, first)
		}), `task "first": service: a prestart task ends before or begins after the work: leave it out`},
	})
}

func TestStatusesThatAreExpected(t *testing.T) {
	for _, tt := range []struct {
		expected []Value
		status   int
		want     bool
	}{
		{nil, 199, false},
		{nil, 200, true},
		{nil, 399, true},
		{nil, 400, false},
		{[]Value{"404"}, 404, true},
		{[]Value{"404"}, 200, false},
		{[]Value{"200-299"}, 299, true},
		{[]Value{"200..299"}, 300, false},
		{[]Value{"204", "500-599"}, 503, true},
	} {
		c := Check{ExpectedStatus: tt.expected}
		if got := c.Expects(tt.status); got != tt.want {
			t.Errorf("%v, status %d: got %v, want %v", tt.expected, tt.status, got, tt.want)
		}
	}
}
