package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"mn/crdt"
	"mn/health/clock"
	"mn/mesh"
	"mn/mesh/core"
	"mn/mesh/identity"
	"mn/mesh/transport"
	"mn/placement"
	"mn/placement/lease"
)

// What members ask of each other outside the API: only over a connection that
// the asker's certificate vouches for.
const (
	pathAdmit     = "/admit"     // let a node in that has shown a token
	pathAuthority = "/authority" // the CA's key, for voters
	pathRenew     = "/renew"     // a new certificate for the asker

	memberBodyMax = 64 << 10
	memberWait    = 8 * time.Second
	fetchEvery    = 2 * time.Second // between tries to get the CA's key
)

// admission asks a voter to let a node in.
type admission struct {
	Member mesh.Member `json:"member"`
	Secret []byte      `json:"secret"` // SHA-256 of the token's secret
	Role   mesh.Role   `json:"role"`
}

// join answers a node that has come to the door with a token: a voter, which
// has the CA's key, lets it in. All tokens of one id go to the same voter while
// it lives, so that a token is not used twice at once.
func (d *daemon) join(ctx context.Context, _ net.Addr, r transport.JoinRequest) (transport.JoinReply, error) {
	select {
	case <-d.up:
	case <-ctx.Done():
		return transport.JoinReply{}, mesh.Faultf(mesh.Unavailable, "this node is still starting").Hint("try again")
	}
	ask := admission{
		Member: mesh.Member{ID: mesh.NodeIDOf(r.Key), Name: r.Name, Key: r.Key, Token: r.Token},
		Secret: identity.HashSecret(r.Secret),
		Role:   r.Role,
	}
	var view *mesh.View
	var roster lease.Roster
	var chain []byte
	err := d.loop.look(ctx, func(c *core.Core) {
		view, roster = c.View(), c.Roster()
		chain, _ = crdt.Encode(c.Chain())
	})
	if err != nil {
		return transport.JoinReply{}, err
	}
	certificate, err := d.askVoters(ctx, roster, "token/"+r.Token, pathAdmit, ask)
	if err != nil {
		return transport.JoinReply{}, err
	}
	reply := transport.JoinReply{
		Admission: identity.Admission{Certificate: certificate, CA: d.id.CA(), Keyring: d.id.Keyring()},
		Roster:    chain,
	}
	for _, n := range view.Nodes {
		if n.Known && n.Liveness == mesh.Alive {
			reply.Peers = append(reply.Peers, transport.JoinPeer{ID: n.ID, Address: n.Address})
		}
	}
	return reply, nil
}

// askVoters asks the voters in the key's order until one answers, this node
// too if it is one. A refusal is an answer.
func (d *daemon) askVoters(ctx context.Context, roster lease.Roster, key, path string, req any) ([]byte, error) {
	var ids []mesh.NodeID
	for _, v := range roster.Voters {
		ids = append(ids, v.ID)
	}
	var errs []error
	for _, id := range placement.Rank(key, ids) {
		b, err := d.askMember(ctx, id, path, req)
		if err == nil || mesh.FaultOf(err).Kind != mesh.Unavailable {
			return b, err
		}
		errs = append(errs, err)
	}
	d.log.Warn("no voter answers", "path", path, "err", errors.Join(errs...))
	return nil, mesh.Faultf(mesh.Unavailable, "none of the %d voters, who hold the mesh's CA, answers", len(ids)).
		Hint("try again when one of them is back: mn node ls")
}

// askMember asks one member.
func (d *daemon) askMember(ctx context.Context, id mesh.NodeID, path string, req any) ([]byte, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encode request %q: %w", path, err)
	}
	if id == d.self.ID {
		return d.answerMember(ctx, d.self.ID, path, body)
	}
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.net.Open(ctx, id, transport.KindMember)
		},
	}}
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+string(id)+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask node %s: %w", id.Short(), err)
	}
	resp, err := client.Do(hr)
	if err != nil {
		return nil, mesh.Faultf(mesh.Unavailable, "ask node %s: %v", id.Short(), err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, memberBodyMax))
	if err != nil {
		return nil, mesh.Faultf(mesh.Unavailable, "read the answer of node %s: %v", id.Short(), err)
	}
	if resp.StatusCode != http.StatusOK {
		var f mesh.Fault
		if json.Unmarshal(answer, &f) != nil || f.Kind == "" {
			return nil, mesh.Faultf(mesh.Internal, "node %s answered %s", id.Short(), resp.Status)
		}
		return nil, &f
	}
	return answer, nil
}

// memberServer answers members.
func (d *daemon) memberServer() *http.Server {
	h := func(w http.ResponseWriter, r *http.Request) {
		from, _ := r.Context().Value(peerKey{}).(mesh.NodeID)
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, memberBodyMax))
		var answer []byte
		if err == nil {
			err = d.refuseEvicted(r.Context(), from)
		}
		if err == nil {
			answer, err = d.answerMember(r.Context(), from, r.URL.Path, body)
		}
		if err != nil {
			f := mesh.FaultOf(err)
			w.WriteHeader(f.HTTPStatus())
			answer, _ = json.Marshal(f)
		}
		_, _ = w.Write(answer) // who has gone away gets no answer
	}
	return &http.Server{
		Handler:           http.HandlerFunc(h),
		ReadHeaderTimeout: memberWait,
		ReadTimeout:       memberWait,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, transport.PeerOf(c))
		},
	}
}

type peerKey struct{}

// answerMember answers a member whose certificate says that it is from.
func (d *daemon) answerMember(ctx context.Context, from mesh.NodeID, path string, body []byte) ([]byte, error) {
	ca, err := d.id.Authority()
	if err != nil {
		return nil, mesh.Faultf(mesh.Unavailable, "node %s does not hold the CA's key yet", d.self.Name)
	}
	switch path {
	case pathAdmit:
		return d.admit(ctx, ca, body)
	case pathRenew:
		return d.recertify(ctx, ca, from)
	case pathAuthority:
		var roster lease.Roster
		if err := d.loop.look(ctx, func(c *core.Core) { roster = c.Roster() }); err != nil {
			return nil, err
		}
		if roster.Seat(from) < 0 {
			return nil, mesh.Faultf(mesh.Denied, "node %s is no voter", from.Short())
		}
		return ca.Bytes()
	}
	return nil, mesh.Faultf(mesh.NotFound, "no request %q", path)
}

// admit lets a node in, and signs its key.
func (d *daemon) admit(ctx context.Context, ca *identity.Authority, body []byte) ([]byte, error) {
	var ask admission
	if err := json.Unmarshal(body, &ask); err != nil {
		return nil, mesh.Faultf(mesh.Invalid, "read request: %v", err)
	}
	if len(ask.Member.Key) == 0 || ask.Member.ID != mesh.NodeIDOf(ask.Member.Key) {
		return nil, mesh.Faultf(mesh.Invalid, "the key is not that of node %s", ask.Member.ID.Short())
	}
	if _, err := d.loop.ask(ctx, core.Admit{Member: ask.Member, Secret: ask.Secret}); err != nil {
		return nil, err
	}
	return ca.Sign(ask.Member.Key, ask.Role, clock.Wall())
}

// recertify signs a member's key again.
func (d *daemon) recertify(ctx context.Context, ca *identity.Authority, from mesh.NodeID) ([]byte, error) {
	var members []mesh.Member
	role := mesh.Worker
	err := d.loop.look(ctx, func(c *core.Core) {
		members = c.Members()
		if n := c.View().Node(from); n != nil && n.Known {
			role = n.Role
		}
	})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(members, func(m mesh.Member) bool { return m.ID == from })
	if i < 0 {
		return nil, mesh.Faultf(mesh.Denied, "node %s is no member", from.Short())
	}
	return ca.Sign(members[i].Key, role, clock.Wall())
}

// keepAuthority gets the CA's key from another node once this one is a voter: from a voter,
// or, if none of them has it any more, from one that was.
func (d *daemon) keepAuthority(ctx context.Context) {
	for !d.id.HasAuthority() {
		change := d.loop.change()
		var roster lease.Roster
		var others []mesh.NodeID // in sight
		err := d.loop.look(ctx, func(c *core.Core) {
			roster, others = c.Roster(), nil
			for _, m := range c.Members() {
				if m.ID != d.self.ID && roster.Seat(m.ID) < 0 && c.Sees(m.ID) {
					others = append(others, m.ID)
				}
			}
		})
		if err != nil {
			return
		}
		var retry <-chan time.Time
		if roster.Seat(d.self.ID) >= 0 {
			if d.fetchFrom(ctx, roster, others) {
				return
			}
			retry = time.After(fetchEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-change:
		case <-retry:
		}
	}
}

// fetchFrom asks the voters for the CA's key, and then others.
func (d *daemon) fetchFrom(ctx context.Context, roster lease.Roster, others []mesh.NodeID) bool {
	var ids []mesh.NodeID
	for _, v := range roster.Voters {
		if v.ID != d.self.ID {
			ids = append(ids, v.ID)
		}
	}
	for _, id := range append(ids, others...) {
		err := d.fetchAuthority(ctx, id)
		if err == nil {
			return true
		}
		d.log.Debug("fetch the CA's key", "from", id, "err", err)
	}
	return false
}

func (d *daemon) fetchAuthority(ctx context.Context, from mesh.NodeID) error {
	secret, err := d.askMember(ctx, from, pathAuthority, struct{}{})
	if err != nil {
		return err
	}
	ca, err := identity.ParseAuthority(secret)
	if err != nil {
		return err
	}
	return d.id.KeepAuthority(ca)
}
