package sim

import "slices"

// rumours are the news that a node has still to tell: the newest first, and what
// was told goes to the end. There is one about each node at most, the newest. A
// node that starts in a mesh of a thousand has a thousand of them, so none of
// this goes through all of them.
type rumours struct {
	front []news // newest last
	back  []news // after those of front, the next first
	last  int    // number given
	valid []int  // by place: the number of the one that counts, 0 if there is none
	live  int    // those that count
}

// none says whether there is nothing to tell.
func (r *rumours) none() bool { return r.live == 0 }

// add puts news in front, in the stead of older news of the same node.
func (r *rumours) add(n news) {
	for len(r.valid) <= n.place {
		r.valid = append(r.valid, 0)
	}
	if r.valid[n.place] == 0 {
		r.live++
	}
	r.last++
	n.number = r.last
	r.valid[n.place] = n.number
	r.front, r.back = r.swept(append(r.front, n)), r.swept(r.back)
}

// swept is a list without what no longer counts, if that has become much.
func (r *rumours) swept(list []news) []news {
	if len(list) <= 2*r.live+newsMax {
		return list
	}
	return slices.DeleteFunc(list, func(n news) bool { return r.valid[n.place] != n.number })
}

// next takes the first out that counts. There must be one.
func (r *rumours) next() news {
	for {
		var n news
		if last := len(r.front) - 1; last >= 0 {
			n, r.front = r.front[last], r.front[:last]
		} else {
			n, r.back = r.back[0], r.back[1:]
		}
		if r.valid[n.place] == n.number {
			return n
		}
	}
}

// take is the news to tell with a message, so many at most: what was told least
// comes first.
func (r *rumours) take(most int) []news {
	if r.live == 0 {
		return nil
	}
	told := make([]news, min(most, r.live))
	for i := range told {
		told[i] = r.next()
	}
	for _, n := range told {
		if n.times--; n.times > 0 {
			r.back = append(r.back, n)
		} else {
			r.valid[n.place] = 0
			r.live--
		}
	}
	return told
}
