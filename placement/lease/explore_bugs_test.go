package lease

import (
	"crypto/ed25519"
	"slices"

	"mn/mesh"
)

// hears is a bug that lies in how an input is understood.
func hears(change func(p *Party, in Input) Input) func(*Party, Input, func(Input) Output) Output {
	return func(p *Party, in Input, step func(Input) Output) Output { return step(change(p, in)) }
}

// spoils is a bug that shows once a step is done.
func spoils(change func(p *Party, out *Output)) func(*Party, Input, func(Input) Output) Output {
	return func(p *Party, in Input, step func(Input) Output) Output {
		out := step(in)
		change(p, &out)
		return out
	}
}

// forgets is a bug that leaves facts of a key unwritten.
func forgets(key string) func(*Party, Input, func(Input) Output) Output {
	return spoils(func(_ *Party, out *Output) {
		out.Facts = slices.DeleteFunc(out.Facts, func(f Fact) bool { return f.Key == key })
	})
}

// message changes messages only.
func message(change func(p *Party, from mesh.NodeID, m *Message)) func(*Party, Input, func(Input) Output) Output {
	return hears(func(p *Party, in Input) Input {
		if r, ok := in.(Received); ok {
			change(p, r.From, &r.Msg)
			return r
		}
		return in
	})
}

// planted are bugs, each a rule of reliability that is broken, with the world in
// which it is found. How far from the beginning it is found is part of the table.
func planted() []*model {
	return []*model{
		plant(voted(), bug{
			name:  "R1 votes are forgotten in a restart",
			birth: func(p *Party) { p.box, p.voter.sealed = ballotBox{}, false },
		}),
		plant(voted(), bug{name: "R1 votes are not on disk", step: forgets(keyBallot)}),
		plant(sealed(), bug{
			name: "R2 a vote does not seal",
			step: spoils(func(p *Party, _ *Output) { p.voter.sealed = false }),
		}),
		plant(carried(), bug{
			name: "R3 no waiting between epochs",
			step: spoils(func(p *Party, _ *Output) {
				if v := &p.voter; !v.open && v.openAt > p.now {
					v.blank, v.openAt, v.grant = 0, p.now, [mesh.Slots]grant{}
				}
			}),
		}),
		plant(restarts(), bug{
			name:  "R4 grants are forgotten in a restart",
			birth: func(p *Party) { p.voter.blank, p.voter.grant = 0, [mesh.Slots]grant{} },
		}),
		plant(restarts(), bug{name: "R4 promises are not on disk", step: forgets(keyPromise)}),
		plant(split(), bug{
			name: "R5 the dead are not counted",
			step: func(p *Party, in Input, step func(Input) Output) Output {
				alive := 0
				for _, v := range p.roster.Voters {
					if p.peers[v.ID].alive {
						alive++
					}
				}
				p.quorum = alive/2 + 1
				return step(in)
			},
		}),
		plant(changed(), bug{
			name: "R8 the epoch is ignored",
			step: message(func(p *Party, _ mesh.NodeID, m *Message) {
				if m.Chain == nil {
					m.Epoch, m.View = p.roster.Epoch, p.view
				}
			}),
		}),
		plant(eviction(), bug{
			name: "R9 who is removed goes on",
			step: hears(func(p *Party, in Input) Input {
				if m, ok := in.(Members); ok {
					pub := p.key.Public().(ed25519.PublicKey)
					m.Admitted = append(slices.Clone(m.Admitted), mesh.Member{ID: p.self, Key: pub})
					return m
				}
				return in
			}),
		}),
		plant(twoBid(), bug{
			name: "half is a majority",
			step: func(p *Party, in Input, step func(Input) Output) Output {
				p.quorum = max(len(p.roster.Voters)/2, 1)
				return step(in)
			},
		}),
		plant(stranger(), bug{
			name: "the lease runs from the answer",
			step: message(func(p *Party, _ mesh.NodeID, m *Message) {
				if m.Accept != nil {
					a := *m.Accept
					a.Sent, m.Accept = p.now, &a
				}
			}),
		}),
		plant(restarts(), bug{
			name: "a voter counts a shorter lease than the holder",
			step: spoils(func(p *Party, _ *Output) {
				g := &p.voter.grant[slotExplored]
				if g.until == p.now+p.holdTime(p.roster.Length) {
					g.until -= beat
				}
			}),
		}),
		plant(lastBeat(), bug{
			name: "a voter takes its clock for right",
			step: spoils(func(p *Party, _ *Output) {
				g := &p.voter.grant[slotExplored]
				if g.until == p.now+p.holdTime(p.roster.Length) {
					g.until = p.now + p.roster.Length
				}
			}),
		}),
		plant(restarts(), bug{
			name: "a ballot is promised to any life of a bidder",
			step: message(func(p *Party, from mesh.NodeID, m *Message) {
				if o := &p.voter.owner[slotExplored]; o.ID == from {
					o.Run = m.Run.Nonce
				}
			}),
			birth: func(p *Party) {
				if o := &p.voter.owner[slotExplored]; o.ID == p.self {
					o.Run = p.run.Nonce
				}
			},
		}),
		plant(reboots(), bug{
			name: "an answer is taken for one to this life",
			step: message(func(p *Party, _ mesh.NodeID, m *Message) {
				switch {
				case m.Promise != nil:
					r := *m.Promise
					r.Run, m.Promise = p.run.Nonce, &r
				case m.Accept != nil:
					r := *m.Accept
					r.Run, m.Accept = p.run.Nonce, &r
				}
			}),
		}),
		plant(youngEpoch(), bug{
			name: "a late carry counts for what was promised since",
			step: func(p *Party, in Input, step func(Input) Output) Output {
				r, ok := in.(Received)
				if !ok || r.Msg.Chain == nil || r.Msg.Chain.Carry == nil || p.voter.blank <= p.now {
					return step(in)
				}
				ballots := p.voter.ballot
				p.voter.ballot = [mesh.Slots]uint64{}
				out := step(in)
				p.voter.ballot = ballots
				return out
			},
		}),
		plant(waiting(), bug{
			name: "R6 the wait is over as it begins",
			step: spoils(func(p *Party, out *Output) {
				if p.seat >= 0 && !p.voter.open {
					p.voter.open = true
					out.Facts = append(out.Facts, Fact{keyOpen, encode(p.roster.Epoch)})
				}
			}),
		}),
		plant(givesBack(), bug{
			name: "a holder gives back and goes on",
			step: func(p *Party, in Input, step func(Input) Output) Output {
				c := &p.bidder.claims[slotExplored]
				held, until, acks := c.held, c.until, c.acks
				out := step(in)
				if slices.ContainsFunc(out.Changes, func(c Change) bool { return c.Kind == Yielded }) {
					c.held, c.until, c.acks = held, until, acks
				}
				return out
			},
		}),
	}
}

func plant(m *model, b bug) *model {
	m.bug = b
	return m
}
