package configs

import (
	"bytes"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2/unstable"
	"pgregory.net/rapid"

	"mn/mesh"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ name, is, want string }{
		{"nothing", "\n \n", ""},
		{"no end of line", `name="a"`, "name = \"a\"\n"},
		{"keys", "  a  .  \"b c\" .d=1 \r\n\tb = true\t\n", "a.\"b c\".d = 1\nb = true\n"},
		{"values as written", "a=0x1_F\nb=1e3\nc='x'\nd=2026-11-27 02:00:00Z\n", "a = 0x1_F\nb = 1e3\nc = 'x'\nd = 2026-11-27 02:00:00Z\n"},
		{"blank lines", "\n\na=1\n\n\n\nb=2\n\n\n", "a = 1\n\nb = 2\n"},
		{"tables", "a=1\n[ b ]\n\nc=1\n[[ d . e ]] # why\n", "a = 1\n\n[b]\nc = 1\n\n[[d.e]] # why\n"},
		{"comments above tables", "a=1\n# of b\n#  all of it\n[b]\n#c=1\n[d]\n\n# end\n", "a = 1\n\n# of b\n#  all of it\n[b]\n\n#c=1\n[d]\n# end\n"},
		{"comments apart from tables", "#x\n\n[a]\n\n# y\n\n[b]\n", "#x\n\n[a]\n# y\n\n[b]\n"},
		{
			"comments behind values", "a=1 # one\nbcd = 2    # two  \ne=3\nf=\"é\"# four\nge=5 #five\n\nh=6 #  six\n",
			"a = 1   # one\nbcd = 2 # two\ne = 3\nf = \"é\" # four\nge = 5  #five\n\nh = 6 #  six\n",
		},
		{"a list on a line", "a=[ 1,2 ,[ ],[\"x\",], ]\n", "a = [1, 2, [], [\"x\"]]\n"},
		{
			"a list on several", "a=[ 1,2\n,3 # three\n,\n\n  # four\n # five\n 4, [5,\n6]]# end\n",
			"a = [\n  1, 2,\n  3, # three\n\n  # four\n  # five\n  4, [\n    5,\n    6,\n  ],\n] # end\n",
		},
		{"an empty list on two lines", "a=[\n]\n", "a = [\n]\n"},
		{"a list of only a comment", "a=[ # none\n]\n", "a = [\n  # none\n]\n"},
		{"texts", "a = [ 'sh','''\n  x =1  \n\n\n # y\n''' ]\nb=\"\"\"\n[ z ]  \\\n  \"\"\"\n", "a = ['sh', '''\n  x =1  \n\n\n # y\n''']\nb = \"\"\"\n[ z ]  \\\n  \"\"\"\n"},
		{"inline tables", "a={b=1,c={},\"d\".e={ f=[1] }}\n", "a = { b = 1, c = {}, \"d\".e = { f = [1] } }\n"},
	} {
		got, err := Format("job.toml", []byte(tt.is))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", tt.name, err, got, tt.want)
		}
	}
	_, err := Format("job.toml", []byte("name = \"a\"\n[[task]\n"))
	if mesh.FaultOf(err).Kind != mesh.Invalid || !strings.HasPrefix(err.Error(), "job.toml:2:") {
		t.Errorf("of no TOML: got %v", err)
	}
}

// What people begin with is laid out as what they will write.
func TestExamplesAreLaidOut(t *testing.T) {
	for dir, files := range map[string]fs.FS{"examples": Examples, "starts": starts} {
		for _, name := range namesIn(files, dir) {
			text, job, err := embedded(files, dir, name)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Format(name, text); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s: %v: laid out it is\n%s", name, err, got)
			}
			written := WriteJob(job)
			if got, err := Format(name, written); err != nil || !bytes.Equal(got, written) {
				t.Errorf("%s, as mn writes it: %v: laid out it is\n%s", name, err, got)
			}
		}
	}
}

// commentsOf are the comments of a file, in order.
func commentsOf(data []byte) []string {
	p := unstable.Parser{KeepComments: true}
	p.Reset(data)
	var all []string
	var visit func(n *unstable.Node)
	visit = func(n *unstable.Node) {
		if n.Kind == unstable.Comment {
			all = append(all, strings.TrimRight(string(n.Data), " \t\r"))
		}
		for it := n.Children(); it.Next(); {
			visit(it.Node())
		}
	}
	for p.NextExpression() {
		e := p.Expression()
		visit(e)
		if c := e.Next(); c != nil && e.Kind != unstable.Comment {
			visit(c)
		}
	}
	return all
}

// FuzzFormat: see keepsAll.
func FuzzFormat(f *testing.F) {
	seed(f)
	f.Add([]byte("a=[ 1,# one\n\n[2,{b=1, # two\nc=2}]]\n# x\n[d]# y\ne='''\n  '''# z"))
	f.Fuzz(func(t *testing.T, data []byte) { keepsAll(t, data) })
}

// failer is what tests of all kinds are.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// keepsAll checks the law of layouts: a file that is laid out has the content and the
// comments that it had, and is laid out. It says whether the file was TOML.
func keepsAll(t failer, data []byte) bool {
	t.Helper()
	once, err := Format("f.toml", data)
	if err != nil {
		if mesh.FaultOf(err).Kind == mesh.Internal {
			t.Fatalf("%v:\n%s", err, data)
		}
		return false
	}
	twice, err := Format("f.toml", once)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%v\nonce:\n%s\ntwice:\n%s", err, once, twice)
	}
	if before, after := commentsOf(data), commentsOf(once); !slices.Equal(before, after) {
		t.Fatalf("got comments %q, want %q", after, before)
	}
	before, was := ParseJob("f.toml", data)
	after, is := ParseJob("f.toml", once)
	if (was == nil) != (is == nil) || !reflect.DeepEqual(before, after) {
		t.Fatalf("it is another job: %v, and was %v", is, was)
	}
	return true
}

// untidy writes good TOML with all the white space, line ends and comments that may be
// between its words.
type untidy struct {
	*rapid.T
	b    strings.Builder
	keys int
}

func (u *untidy) one(of ...string) { u.b.WriteString(rapid.SampledFrom(of).Draw(u.T, "text")) }

func (u *untidy) key() {
	u.keys++
	fmt.Fprintf(&u.b, rapid.SampledFrom([]string{"k%d", "\"k %d\"", "'=[%d'", "a%d . b", "c%d.\"d#\""}).Draw(u.T, "key"), u.keys)
}

func (u *untidy) keyValue(depth int) {
	u.key()
	u.one("", " ", "\t ")
	u.one("=")
	u.one("", " ", "\t ")
	u.value(depth)
}

func (u *untidy) value(depth int) {
	kinds := 3
	if depth > 3 {
		kinds = 1
	}
	switch rapid.IntRange(0, kinds-1).Draw(u.T, "kind") {
	case 0:
		u.one("1", "-0.5e3", "true", "\"a # b\"", "'[x'", "2026-11-27 02:00:00", "'''\n a=1 \n\n # no\n'''",
			"\"\"\"\\\n  x,\r\n]\"\"\"", "inf")
	case 1:
		u.list("[", "]", func() { u.value(depth + 1) })
	default:
		u.list("{", "}", func() { u.keyValue(depth + 1) })
	}
}

func (u *untidy) list(open, end string, element func()) {
	gap := func() { u.one("", " ", "\t", "\n", "\r\n \n\n", "# in\n", " #x \n\n  # y\n#z\n") }
	u.one(open)
	gap()
	for n := rapid.IntRange(0, 3).Draw(u.T, "elements"); n > 0; n-- {
		element()
		gap()
		if n > 1 || rapid.Bool().Draw(u.T, "comma") {
			u.one(",")
			gap()
		}
	}
	u.one(end)
}

func TestLayoutsKeepAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := &untidy{T: t}
		for range rapid.IntRange(0, 8).Draw(t, "lines") {
			u.one("", " ", "\t", "\n", "\n\n \n")
			switch rapid.IntRange(0, 4).Draw(t, "line") {
			case 0:
				u.one("# c", "#", "#k = 1 \t")
			case 1:
				u.one("[ ", "[")
				u.key()
				u.one(" ]", "]", "] # h")
			case 2:
				u.one("[[")
				u.key()
				u.one(" ]]", "]]")
			default:
				u.keyValue(0)
				u.one("", " ", "# b", "   # behind  ")
			}
			u.one("\n", "\r\n", "\n\n\n")
		}
		if !keepsAll(t, []byte(u.b.String())) {
			t.Fatalf("it is no TOML:\n%s", u.b.String())
		}
	})
}
