package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The spaces of what ${…} in a text of a job refers to: what stands before the first dot.
const (
	SpaceEnv     = "env" // ${NAME} is ${env.NAME}
	SpaceNode    = "node"
	SpaceAlloc   = "alloc"
	SpaceService = "service"
)

// What keys there are in the spaces besides the environment's. Those of the node and the copy that end
// in a dot begin the names of labels; those of a service stand after its name.
var (
	nodeKeys    = []string{"id", "name", "address", "pool", "os", "arch", "label."}
	allocKeys   = []string{"id", "index", "job", "group", "task", "dir", "port."}
	serviceKeys = []string{"address", "port", "hostport", "all"}
)

// Keys of references that are of something.
const (
	KeyLabel = "label"
	KeyPort  = "port"
)

// tagMark stands between the name of a service and a tag of it.
const tagMark = ".tag."

// Reference is what ${…} in a text of a job stands for.
type Reference struct {
	Space string
	Key   string // in its space; of SpaceEnv, the variable
	Of    string // the service, or the label of the port or of the node
	Tag   string // that the service must have; "" for any
}

// Service is the service that it is of.
func (r Reference) Service() ServiceRef { return ServiceRef{r.Of, r.Tag} }

// ServiceRef names those instances of a service that a text may be about.
type ServiceRef struct {
	Name string
	Tag  string // that they have; "" for any
}

// String is the service for people: "vllm with tag embedding".
func (r ServiceRef) String() string {
	n := ServiceNeed{Name: r.Name}
	if r.Tag != "" {
		n.Tags = []string{r.Tag}
	}
	return n.String()
}

// ParseReference reads what stands between the braces of a reference. Names of services may have dots in
// them, and so are read from the right.
func ParseReference(s string) (Reference, error) {
	space, rest, dotted := strings.Cut(s, ".")
	switch {
	case !dotted:
		return Reference{Space: SpaceEnv, Key: s}, nil
	case space == SpaceEnv:
		return Reference{Space: SpaceEnv, Key: rest}, nil
	case space == SpaceNode:
		return parseKey(space, rest, nodeKeys)
	case space == SpaceAlloc:
		return parseKey(space, rest, allocKeys)
	case space == SpaceService:
		return parseService(rest)
	case space == "var":
		return Reference{}, fmt.Errorf("${%s} has a value only in a job file, where it is read", clip(s))
	}
	spaces := []string{SpaceEnv, SpaceNode, SpaceAlloc, SpaceService}
	if near := Nearest(space, spaces); near != "" {
		return Reference{}, fmt.Errorf("unknown namespace %q in ${%s}; did you mean ${%s.%s}?",
			clip(space), clip(s), near, clip(rest))
	}
	return Reference{}, fmt.Errorf("unknown namespace %q in ${%s}; known are %s, and in job files var; "+
		"$${ stands for ${", clip(space), clip(s), strings.Join(spaces, ", "))
}

// parseKey reads a key of the node or of the copy.
func parseKey(space, s string, keys []string) (Reference, error) {
	key, of, labelled := strings.Cut(s, ".")
	known := key
	if labelled {
		known += "."
	}
	if slices.Contains(keys, known) && (!labelled || of != "") {
		return Reference{Space: space, Key: key, Of: of}, nil
	}
	var names []string
	for _, k := range keys {
		if strings.HasSuffix(k, ".") && labelled && Nearest(key+".", []string{k}) != "" {
			return Reference{}, fmt.Errorf("unknown ${%s.%s}; did you mean ${%s.%s%s}?",
				space, clip(s), space, k, cmp.Or(clip(of), "NAME"))
		}
		names = append(names, k)
	}
	if near := Nearest(s, names); near != "" {
		return Reference{}, fmt.Errorf("unknown ${%s.%s}; did you mean ${%s.%s}?", space, clip(s), space, labelOf(near))
	}
	for i := range names {
		names[i] = labelOf(names[i])
	}
	return Reference{}, fmt.Errorf("unknown ${%s.%s}; known of %s are %s",
		space, clip(s), space, strings.Join(names, ", "))
}

// labelOf is a key for people.
func labelOf(key string) string {
	if strings.HasSuffix(key, ".") {
		return key + "NAME"
	}
	return key
}

// parseService reads NAME.KEY, or NAME.tag.TAG.KEY.
func parseService(s string) (Reference, error) {
	name, key := "", s
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		name, key = s[:i], s[i+1:]
	}
	if !slices.Contains(serviceKeys, key) {
		if near := Nearest(key, serviceKeys); near != "" && name != "" {
			return Reference{}, fmt.Errorf("unknown key %q in ${service.%s}; did you mean ${service.%s.%s}?",
				clip(key), clip(s), clip(name), near)
		}
		return Reference{}, fmt.Errorf("${service.%s} ends in no key of a service: want ${service.NAME.KEY}, "+
			"with one of %s", clip(s), strings.Join(serviceKeys, ", "))
	}
	tag := ""
	if i := strings.LastIndex(name, tagMark); i >= 0 {
		name, tag = name[:i], name[i+len(tagMark):]
		if !ValidName(tag) {
			return Reference{}, fmt.Errorf("%q in ${service.%s} is no tag of a service", clip(tag), clip(s))
		}
	}
	if !ValidName(name) {
		return Reference{}, fmt.Errorf("%q in ${service.%s} is no name of a service", clip(name), clip(s))
	}
	return Reference{Space: SpaceService, Key: key, Of: name, Tag: tag}, nil
}

// eachText goes over the texts of a task in which references are replaced, with their keys.
func (t *Task) eachText(do func(s string, keys ...string)) {
	for i, arg := range t.Command {
		do(arg, "command", fmt.Sprint(i))
	}
	if c := t.Container; c != nil {
		for i, arg := range c.Entrypoint {
			do(arg, "container", "entrypoint", fmt.Sprint(i))
		}
	}
	do(t.Dir, "dir")
	for _, k := range slices.Sorted(maps.Keys(t.Env)) {
		do(t.Env[k], "env", k)
	}
	for i := range t.Templates {
		do(t.Templates[i].Content, "template", fmt.Sprint(i), "content")
	}
}

// Refers says to which services the texts of a task refer, each once, in order; and whether to anything of
// its node that may change while the task runs.
func (t *Task) Refers() (services []ServiceRef, node bool) {
	t.eachText(func(s string, _ ...string) {
		_, err := Expand(s, func(name string) (string, error) {
			r, err := ParseReference(name)
			switch {
			case err != nil:
			case r.Space == SpaceNode:
				node = true
			case r.Space == SpaceService && !slices.Contains(services, r.Service()):
				services = append(services, r.Service())
			}
			return "", nil
		})
		_ = err // validation has told it, and whoever expands the text does again
	})
	return services, node
}
