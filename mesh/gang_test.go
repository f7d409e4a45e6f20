package mesh

import "testing"

// TestGangChangesEachCopy: each is told its rank, and how many there are.
func TestGangChangesEachCopy(t *testing.T) {
	content := func(change func(*Job)) string {
		j := &Job{Name: "train", Tasks: []Task{
			{Name: "a", Count: 2, Command: []string{"a"}}, {Name: "b", Count: 2, Command: []string{"b"}},
		}}
		change(j)
		g, _ := j.Group("b")
		return g.ContentOf(HashGroup(j, "b"), 1)
	}
	alone := content(func(*Job) {})
	gang := content(func(j *Job) { j.Gang = true })
	if alone == gang || gang != alone+"@3/4" {
		t.Errorf("alone %s, in a gang %s", alone, gang)
	}
	if more := content(func(j *Job) { j.Gang, j.Tasks[0].Count = true, 3 }); more != alone+"@4/5" {
		t.Errorf("in a larger gang: %s", more)
	}
}

func TestHostOfANode(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:7946": "10.0.0.1", "[fd00::1]:7946": "fd00::1", "box-1.lab:7946": "box-1.lab", "": "",
	} {
		if got := (&Node{Address: address}).Host(); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
