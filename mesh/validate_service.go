package mesh

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// checkMethods are what a check may ask with.
var checkMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH"}

var checkSchemes = []string{"http", "https"}

// services checks what the tasks of a copy offer, and the job as a whole.
func (v *validator) services(j *Job) {
	v.prefix, v.task = nil, ""
	v.offered(j.Services, j.Tasks, nil, "service")
	if len(j.Services) <= servicesMax {
		v.filled(j.Services, nil, OwnVariables, nil)
	}
	v.required(j.Requires, "requires_service")
	v.selfish(j.Requires, j, "")
	for i := range j.Tasks {
		t := &j.Tasks[i]
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(t.Name)
		if len(t.Services) > 0 && (t.Lifecycle == Prestart || t.Lifecycle == Poststop) {
			v.fault("a %s task ends before or begins after the work: leave it out", t.Lifecycle).at("service")
		}
		mates := slices.DeleteFunc(slices.Clone(j.Tasks), func(o Task) bool { return o.group() != t.group() })
		v.offered(t.Services, mates, t, "service")
		v.required(t.Requires, "requires_service")
		v.selfish(t.Requires, j, t.group())
	}
}

// selfish refuses needs that a job has of itself, or a group of its own copies if it is not "":
// nothing of it would ever be placed.
func (v *validator) selfish(all []ServiceNeed, j *Job, group string) {
	offers, labels := []ServiceDef{}, map[Value]bool{}
	for i := range j.Tasks {
		if t := &j.Tasks[i]; group == "" || t.group() == group {
			offers = append(offers, t.Services...)
			for _, p := range t.Ports {
				labels[Value(p.Label)] = true
			}
		}
	}
	for _, s := range j.Services {
		if group == "" || s.External() || labels[s.Port] {
			offers = append(offers, s)
		}
	}
	who, whose := "the job", "another's"
	if group != "" {
		who, whose = "the same group", "another group's, or job's"
	}
	for i := range all {
		if slices.ContainsFunc(offers, func(s ServiceDef) bool { return all[i].Met(&s) }) {
			v.fault("is offered by %s itself, which would wait for itself: want %s", who, whose).
				at("requires_service", strconv.Itoa(i), "name")
		}
	}
}

// offered checks the services of a task, or of the job if t is nil; their ports may be those of the
// tasks given.
func (v *validator) offered(all []ServiceDef, tasks []Task, t *Task, key string) {
	if len(all) > servicesMax {
		v.fault("has %d entries, more than %d", len(all), servicesMax).at(key)
		return
	}
	seen := map[string]bool{}
	for i := range all {
		s, at := &all[i], within(key, strconv.Itoa(i))
		v.name("the service's name", s.Name, at("name")...)
		if seen[s.Name] && s.Name != "" {
			v.fault("another service has the name %q too", clip(s.Name)).at(at("name")...)
		}
		seen[s.Name] = true
		v.tags(s.Tags, at("tags")...)
		v.table(s.Meta, at("meta")...)
		v.address(s, at)
		v.servicePort(s.Port, s.External(), CheckTCP, tasks, at("port")...)
		v.checks(s, tasks, t, at)
		if r := s.Restart; r != nil {
			v.checkRestart(s, r, t, at)
		}
	}
}

// within makes paths of keys below some.
func within(keys ...string) func(more ...string) []string {
	return func(more ...string) []string { return slices.Concat(keys, more) }
}

func (v *validator) checkRestart(s *ServiceDef, r *CheckRestart, t *Task, at func(...string) []string) {
	switch {
	case t == nil || s.External():
		v.fault("restarts a task that offers the service, and none does: leave it out").at(at("check_restart")...)
	case len(s.Checks) == 0:
		v.fault("is about the checks of the service, and it has none").at(at("check_restart")...)
	case r.Limit < 1 || r.Limit > checkCountMax:
		v.fault("must be from 1 to %d, not %d", checkCountMax, r.Limit).at(at("check_restart", "limit")...)
	}
	v.duration(r.Grace, 0, checkGraceMax, at("check_restart", "grace")...)
}

func (v *validator) address(s *ServiceDef, at func(...string) []string) {
	if !s.External() {
		return
	}
	if !ValidHost(s.Address) {
		v.fault("%q is no host name or IP address", clip(s.Address)).at(at("address")...)
	}
	if s.Port == "" {
		v.fault("is missing: the port of the address").at(at("port")...)
	}
}

// ValidHost says whether s is an IP address or a name of a host.
func ValidHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		odd := func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}
		if label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, odd) {
			return false
		}
	}
	return true
}

// servicePort checks a port that is a label or a number.
func (v *validator) servicePort(p Value, external bool, of CheckType, tasks []Task, keys ...string) {
	if p == "" {
		return
	}
	if n, err := strconv.Atoi(string(p)); err == nil {
		if n < 1 || n > portMax {
			v.fault("must be from 1 to %d, or a label, not %d", portMax, n).at(keys...)
		}
		return
	}
	if external {
		v.fault("%q is no number, and nobody knows the labels of another's ports", clip(string(p))).at(keys...)
		return
	}
	var labels []string
	for i := range tasks {
		for _, port := range tasks[i].Ports {
			if port.Label != string(p) {
				labels = append(labels, port.Label)
				continue
			}
			if of.Networked() && port.Protocol.Transport() == UDP && len(keys) > 3 {
				v.fault("%q is a port of UDP, on which no check can connect", clip(string(p))).at(keys...)
			}
			return
		}
	}
	switch near := Nearest(string(p), labels); {
	case near != "":
		v.fault("no port of the copy has the label %q; did you mean %q?", clip(string(p)), near).at(keys...)
	default:
		v.fault("no port of the copy has the label %q: add a [[task.port]]", clip(string(p))).at(keys...)
	}
}

func (v *validator) tags(tags []string, keys ...string) {
	if len(tags) > tagsMax {
		v.fault("has %d entries, more than %d", len(tags), tagsMax).at(keys...)
		return
	}
	for i, tag := range tags {
		switch {
		case !ValidName(tag):
			v.fault("%q is not a name", clip(tag)).at(keys...)
		case slices.Contains(tags[:i], tag):
			v.fault("has %q twice", clip(tag)).at(keys...)
		}
	}
}

func (v *validator) table(meta map[string]string, keys ...string) {
	if len(meta) > metaMax {
		v.fault("has %d entries, more than %d", len(meta), metaMax).at(keys...)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		if !ValidName(k) {
			v.fault("%q is not a name", clip(k)).at(append(slices.Clone(keys), k)...)
		}
		v.text(meta[k], append(slices.Clone(keys), k)...)
	}
}

func (v *validator) checks(s *ServiceDef, tasks []Task, t *Task, at func(...string) []string) {
	if len(s.Checks) > checksMax {
		v.fault("has %d entries, more than %d", len(s.Checks), checksMax).at(at("check")...)
		return
	}
	seen := map[string]bool{}
	for i := range s.Checks {
		c, at := &s.Checks[i], within(at("check", strconv.Itoa(i))...)
		if c.Name != "" {
			v.name("the check's name", c.Name, at("name")...)
		}
		if seen[c.Title()] {
			v.fault("another check is called %q too: give it a name of its own", clip(c.Title())).at(at("name")...)
		}
		seen[c.Title()] = true
		oneOf(v, c.Type, checkTypes, at("type")...)
		v.servicePort(c.Port, s.External(), c.Kind(), tasks, at("port")...)
		if c.Kind().Networked() && c.Port == "" && s.Port == "" {
			v.fault("is missing: neither the check nor its service has one").at(at("port")...)
		}
		v.checkTimes(c, at)
		v.checkOf(c, t, at)
	}
}

func (v *validator) checkTimes(c *Check, at func(...string) []string) {
	if c.Interval != 0 {
		v.duration(c.Interval, checkIntervalMin, checkIntervalMax, at("interval")...)
	}
	if c.Timeout != 0 {
		v.duration(c.Timeout, checkTimeoutMin, min(checkTimeoutMax, max(c.Every(), checkIntervalMin)), at("timeout")...)
	}
	v.duration(c.Grace, 0, checkGraceMax, at("grace")...)
	for _, n := range []struct {
		key   string
		value int
	}{
		{"success_before_passing", c.SuccessBeforePassing},
		{"failures_before_warning", c.FailuresBeforeWarning},
		{"failures_before_critical", c.FailuresBeforeCritical},
	} {
		if n.value < 0 || n.value > checkCountMax {
			v.fault("must be from 1 to %d, not %d", checkCountMax, n.value).at(at(n.key)...)
		}
	}
	if c.ToFail() > 0 && c.ToWarn() > c.ToFail() {
		v.fault("is %d, and after %d the check is critical already", c.ToWarn(), c.ToFail()).
			at(at("failures_before_warning")...)
	}
}

// eitherOf is "a", "b" or "c".
func eitherOf(types []CheckType) string {
	var all []string
	for _, t := range types {
		all = append(all, strconv.Quote(string(t)))
	}
	last := len(all) - 1
	if last == 0 {
		return all[0]
	}
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// checkOf checks what belongs to the check's type, and that nothing of another is there.
func (v *validator) checkOf(c *Check, t *Task, at func(...string) []string) {
	kind := c.Kind()
	for _, f := range []struct {
		key string
		set bool
		of  []CheckType
	}{
		{"port", c.Port != "", []CheckType{CheckTCP, CheckHTTP, CheckGRPC}},
		{"scheme", c.Scheme != "", []CheckType{CheckHTTP, CheckGRPC}},
		{"tls_skip_verify", c.SkipVerify, []CheckType{CheckHTTP, CheckGRPC}},
		{"method", c.Method != "", []CheckType{CheckHTTP}},
		{"path", c.Path != "", []CheckType{CheckHTTP}},
		{"headers", len(c.Headers) > 0, []CheckType{CheckHTTP}},
		{"body", c.Body != "", []CheckType{CheckHTTP}},
		{"expected_status", len(c.ExpectedStatus) > 0, []CheckType{CheckHTTP}},
		{"contains", c.Contains != "", []CheckType{CheckHTTP}},
		{"grpc_service", c.Service != "", []CheckType{CheckGRPC}},
		{"command", len(c.Command) > 0, []CheckType{CheckScript}},
	} {
		if f.set && !slices.Contains(f.of, kind) && slices.Contains(checkTypes, kind) {
			v.fault("is of checks of type %s, and this one is of type %q", eitherOf(f.of), kind).at(at(f.key)...)
		}
	}
	switch kind {
	case CheckHTTP:
		v.checkHTTP(c, at)
	case CheckScript:
		if len(c.Command) == 0 {
			v.fault("is missing: what a script check runs, as a list").at(at("command")...)
		}
		if len(c.Command) > argsMax {
			v.fault("has %d entries, more than %d", len(c.Command), argsMax).at(at("command")...)
			return
		}
		for i, arg := range c.Command {
			v.text(arg, at("command", strconv.Itoa(i))...)
		}
		if t == nil {
			v.fault("runs where a task does, and the job as a whole has no such place").at(at("type")...)
		}
	case CheckGPU:
		if t == nil || len(t.Devices) == 0 {
			v.fault("is about the devices of the task, and it asks for none").at(at("type")...)
		}
	}
	oneOf(v, c.Scheme, checkSchemes, at("scheme")...)
	v.text(c.Service, at("grpc_service")...)
}

func (v *validator) checkHTTP(c *Check, at func(...string) []string) {
	oneOf(v, c.Method, checkMethods, at("method")...)
	if c.Path != "" && (!strings.HasPrefix(c.Path, "/") || strings.ContainsFunc(c.Path, notInURL)) {
		v.fault("%q is no path of a URL: want one that begins with /, odd characters as %%XX", clip(c.Path)).
			at(at("path")...)
	}
	v.text(c.Body, at("body")...)
	v.text(c.Contains, at("contains")...)
	if len(c.Headers) > headersMax {
		v.fault("has %d entries, more than %d", len(c.Headers), headersMax).at(at("headers")...)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(c.Headers)) {
		v.text(c.Headers[k], at("headers", k)...)
		switch {
		case k == "" || strings.ContainsFunc(k, notInToken):
			v.fault("%q is no name of a header", clip(k)).at(at("headers", k)...)
		case strings.ContainsAny(c.Headers[k], "\r\n"):
			v.fault("has a new line in it").at(at("headers", k)...)
		}
	}
	if len(c.ExpectedStatus) > statusesMax {
		v.fault("has %d entries, more than %d", len(c.ExpectedStatus), statusesMax).at(at("expected_status")...)
		return
	}
	for _, s := range c.ExpectedStatus {
		if _, ok := ParseStatuses(string(s)); !ok {
			v.fault("%q is neither a status from 100 to 599 nor a range such as \"200-299\"", clip(string(s))).
				at(at("expected_status")...)
		}
	}
}

func notInURL(r rune) bool { return r <= ' ' || r >= 0x7f }

func notInToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
}

// required checks the services that a job or a task needs.
func (v *validator) required(all []ServiceNeed, key string) {
	if len(all) > servicesMax {
		v.fault("has %d entries, more than %d", len(all), servicesMax).at(key)
		return
	}
	for i := range all {
		at := within(key, strconv.Itoa(i))
		v.name("the service's name", all[i].Name, at("name")...)
		v.tags(all[i].Tags, at("tags")...)
	}
}
