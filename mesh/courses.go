package mesh

// Courses are the versions of a job with what has become of them, for what follows from that about the
// current one.
type Courses struct {
	Versions map[string]*JobVersion // by hash, those that are here
	// Of is the record of the deployment of a version, and what people want of it; nil for none.
	Of func(v *JobVersion) (*Deployment, *Steering)
}

// Veil is a version of which copies are not shown, as another took its place before it was promoted.
type Veil struct {
	Ancestor
	Same []string // the groups that this other has just so: their copies are its own as well
}

// Fill says in a view of the job how its content comes, or came, to be what runs.
func (c *Courses) Fill(view *JobView) {
	root, known := view.SinceWhen()
	first := c.Versions[root.Hash]
	if view.Job.Update == nil || view.Job.Template() {
		return
	}
	if !known || first == nil {
		view.Torn = true
		return
	}
	view.Deployment, view.Steering = c.Of(first)
	before, idle, veiled, torn := c.before(first)
	if view.Veiled = c.veils(veiled, first); view.Deployment != nil {
		view.Before = c.Versions[view.Deployment.Stable]
		view.Torn = view.Deployment.Stable != "" && view.Before == nil
		return
	}
	begins := first.Begins(before, idle)
	view.Before, view.Deployment, view.Torn = before, &begins, torn
}

// Before is the last version that was deployed before another was made, or nil.
func (c *Courses) Before(of *JobVersion) *JobVersion {
	before, _, _, _ := c.before(of)
	return before
}

// before is the last version with the content that was deployed before another was made. It says also
// whether nothing of the job was meant to run then, which versions between the two have copies that
// are not shown, and whether one is missing that may have been deployed.
func (c *Courses) before(of *JobVersion) (before *JobVersion, idle bool, veiled []Ancestor, torn bool) {
	parent := c.Versions[of.Parent]
	if of.Parent == "" || parent == nil {
		return nil, true, nil, of.Parent != ""
	}
	idle = parent.Stopped || parent.Paused || !parent.Job.Type.Long()
	var same []*JobVersion // of one content, the latest first
	for v := parent; ; {
		if len(same) > 0 && same[0].Root() != v.Root() {
			same = nil
		}
		if same = append(same, v); v.Root() == v.Number {
			if c.deployed(v) {
				return same[0], idle, veiled, false
			}
			if c.hides(v) {
				for _, o := range same {
					veiled = append(veiled, o.Ancestor())
				}
			}
		}
		next := c.Versions[v.Parent]
		if next == nil || next.Number >= v.Number {
			return nil, idle, veiled, v.Parent != "" && next == nil
		}
		v = next
	}
}

// veils are versions that are not shown, with what the one that is deployed instead has of them.
func (c *Courses) veils(of []Ancestor, now *JobVersion) []Veil {
	var all []Veil
	for _, a := range of {
		is := Veil{Ancestor: a}
		theirs := &c.Versions[a.Hash].Job
		for _, g := range theirs.Groups() {
			if HashGroup(theirs, g.Name) == HashGroup(&now.Job, g.Name) {
				is.Same = append(is.Same, g.Name)
			}
		}
		all = append(all, is)
	}
	return all
}

// deployed says whether a version has come to be what runs: one without an update policy has at once.
func (c *Courses) deployed(v *JobVersion) bool {
	if !v.Job.Type.Long() || v.Job.Template() || v.Stopped {
		return false
	}
	d, _ := c.Of(v)
	return v.Job.Update == nil || d != nil && d.State == Deployed
}

// hides says whether the copies of a version that was never deployed are not shown.
func (c *Courses) hides(v *JobVersion) bool {
	view := JobView{JobVersion: *v}
	if view.Deployment, view.Steering = c.Of(v); view.Deployment == nil {
		view.Deployment = &Deployment{}
	}
	return v.Job.Update != nil && v.Job.Type.Long() && view.Hides()
}
