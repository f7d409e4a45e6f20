package daemon

import (
	"time"

	"mn/crdt"
	"mn/health"
	"mn/mesh"
	"mn/mesh/core"
	"mn/mesh/membership"
)

// healthHint is the name of hints about services.
const healthHint = "health"

// keysMax bounds the services in one hint, which has to fit a packet: 9 bytes each, and some for the rest.
const keysMax = 100

// healthNews is a hint about services.
type healthNews struct {
	At   int64             `cbor:"a"` // in milliseconds since 1970, by the clock of their node
	Fail []mesh.ServiceKey `cbor:"f"`
	Pass []mesh.ServiceKey `cbor:"p"`
}

// hint says by gossip what the services of tasks here have come to. Their records say it too.
func (d *daemon) hint(changes []health.Change, at time.Time) {
	gossip := d.gossip.Load()
	if gossip == nil {
		return // nobody is there yet
	}
	news := healthNews{At: at.UnixMilli()}
	say := func() {
		payload, err := crdt.Encode(news)
		if err == nil {
			err = gossip.Broadcast(membership.Hint{Name: healthHint, Payload: payload})
		}
		if err != nil {
			d.log.Debug("services not told by gossip", "why", err)
		}
		news.Fail, news.Pass = nil, nil
	}
	for _, c := range changes {
		if c.Minor {
			continue
		}
		for i := range c.Services {
			key := mesh.KeyOf(c.Alloc, c.Task, c.Services[i].Name)
			if c.Services[i].Health == mesh.Passing {
				news.Pass = append(news.Pass, key)
			} else {
				news.Fail = append(news.Fail, key)
			}
			if len(news.Fail)+len(news.Pass) == keysMax {
				say()
			}
		}
	}
	if len(news.Fail)+len(news.Pass) > 0 {
		say()
	}
}

// hinted takes what gossip says of services. What is not understood is of another release, or of
// nobody's.
func (d *daemon) hinted(h membership.Hint) {
	var news healthNews
	if h.Name != healthHint || crdt.Decode(h.Payload, &news) != nil || len(news.Fail)+len(news.Pass) > keysMax {
		return
	}
	d.loop.tell(core.Hinted{At: time.UnixMilli(news.At), Fail: news.Fail, Pass: news.Pass})
}
