package health

import "mn/mesh"

// Offers are all that the copies of a view offer by what was decided about them, also where
// nothing has been said of it yet, and which of it others may be sent to.
func Offers(v *mesh.View) []mesh.Offer {
	type key struct {
		alloc         mesh.AllocID
		task, service string
	}
	usable := map[key]bool{}
	for _, i := range Catalog(v) {
		if i.Hidden == "" {
			usable[key{i.Alloc, i.Task, i.Service}] = true
		}
	}
	var all []mesh.Offer
	for i := range v.Allocs {
		for _, o := range v.Allocs[i].Offers() {
			o.Usable = usable[key{o.Alloc, o.Task, o.Service}]
			all = append(all, o)
		}
	}
	return all
}
