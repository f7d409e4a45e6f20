package api

import (
	"context"
	"maps"
	"slices"

	"mn/mesh"
)

// routes gives every endpoint its handler.
func (s *Server) routes() {
	b := s.backend
	serve(s, callIndex, func(context.Context, none) ([]Endpoint, error) {
		return s.table, nil
	})
	serve(s, callVersion, func(ctx context.Context, _ none) (Version, error) {
		return b.Version(ctx)
	})
	serve(s, callDigest, func(ctx context.Context, _ none) (Digest, error) {
		d, err := b.Digest(ctx)
		d.Waiting = listed(d.Waiting)
		return d, err
	})
	s.routeJobs(b)
	s.routeReads(b)
	s.routeSchedules(b)
	s.routeNodes(b)
	s.routeTokens(b)
	s.routeContent(b)
	s.routeResults(b)
	serveStream(s, streamLogs, b.Logs)
	s.routeFiles(b)
	s.routeExec(b)
	s.routeEvents(b)
}

func (s *Server) routeJobs(b Backend) {
	s.routeVerbs(b)
	serve(s, callPlan, func(ctx context.Context, r jobBody) (Plan, error) {
		if f := r.Job.Check(); f != nil {
			return Plan{}, f
		}
		p, err := b.Plan(ctx, r.Job)
		p.Place, p.Stop, p.Blocked = listed(p.Place), listed(p.Stop), listed(p.Blocked)
		p.Waiting, p.Preempt = listed(p.Waiting), listed(p.Preempt)
		return p, err
	})
	serve(s, callValidate, func(_ context.Context, r jobBody) (none, error) {
		if f := r.Job.Check(); f != nil {
			return none{}, f
		}
		return none{}, nil
	})
	serve(s, callQueue, func(ctx context.Context, _ none) ([]QueuedJob, error) { return b.Queue(ctx) })
	serve(s, callWhy, func(ctx context.Context, r jobRef) (Why, error) {
		return b.Why(ctx, r.Job)
	})
	serve(s, callExplain, func(ctx context.Context, r jobRef) (Explanation, error) {
		e, err := b.Explain(ctx, r.Job)
		e.Copies = listed(e.Copies)
		return e, err
	})
	serve(s, callHistory, func(ctx context.Context, r jobRef) ([]JobVersion, error) {
		versions, err := b.History(ctx, r.Job)
		if err != nil {
			return nil, err
		}
		snap, err := b.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		return picture{snap}.history(r.Job, versions), nil
	})
}

func (s *Server) routeVerbs(b Backend) {
	serve(s, callRun, func(ctx context.Context, r RunRequest) (Submitted, error) {
		if f := r.Job.Check(); f != nil {
			return Submitted{}, f
		}
		if r.Job.Origin != nil {
			f := mesh.Faultf(mesh.Invalid, "job %q says that it is a run: nobody but the mesh makes those", r.Job.Name)
			return Submitted{}, f.Hint("leave out origin, or ask for a run with mn schedule run-now")
		}
		return submitted(b.Submit(ctx, r))
	})
	for _, verb := range slices.Sorted(maps.Keys(acts)) {
		serve(s, acts[verb], func(ctx context.Context, r ActRequest) (Submitted, error) {
			if r.All && verb != mesh.VerbRetry {
				return Submitted{}, mesh.Faultf(mesh.Invalid, "all is for a retry, not to %s a job", verb)
			}
			return submitted(b.Act(ctx, verb, r))
		})
	}
	serve(s, callScale, func(ctx context.Context, r ScaleRequest) (Submitted, error) {
		return submitted(b.Scale(ctx, r))
	})
	serve(s, callTag, func(ctx context.Context, r TagRequest) (Tagged, error) {
		t, err := b.Tag(ctx, r)
		t.Warnings = listed(t.Warnings)
		return t, err
	})
	serve(s, callRevert, func(ctx context.Context, r RevertRequest) (Submitted, error) {
		history, err := b.History(ctx, r.Job)
		if err != nil {
			return Submitted{}, err
		}
		snap, err := b.Snapshot(ctx)
		if err != nil {
			return Submitted{}, err
		}
		p := picture{snap}
		current := p.View.Job(r.Job)
		if current == nil {
			return Submitted{}, p.noJob(r.Job)
		}
		to, err := mesh.FindVersion(history, current, r.Version)
		if err != nil {
			return Submitted{}, err
		}
		if f := to.Job.Check(); f != nil {
			return Submitted{}, f
		}
		run := RunRequest{Job: to.Job, Reason: r.Reason, Expect: r.Expect, Verb: mesh.Reverted(to)}
		return submitted(b.Submit(ctx, run))
	})
}

func (s *Server) routeReads(b Backend) {
	serve(s, callJobs, reads(b, func(p picture, _ none) ([]JobRow, error) { return p.jobs(), nil }))
	serve(s, callJob, func(ctx context.Context, r jobRef) (Job, error) { return jobOf(ctx, b, r.Job) })
	serve(s, callNodes, reads(b, func(p picture, _ none) ([]Node, error) { return p.nodes(), nil }))
	serve(s, callNode, reads(b, func(p picture, r nodeRef) (NodeDetail, error) {
		return p.nodeDetail(r.Node)
	}))
	serve(s, callDrain, reads(b, func(p picture, r nodeRef) (Drain, error) { return p.drain(r.Node) }))
	serve(s, callResources, reads(b, func(p picture, _ none) ([]Resources, error) { return p.resources(), nil }))
	serve(s, callLimits, reads(b, func(p picture, _ none) ([]Limit, error) { return p.limits(), nil }))
	serve(s, callServices, reads(b, picture.services))
	serve(s, callResolve, reads(b, picture.resolve))
	serve(s, callPreflight, reads(b, func(p picture, r jobBody) (Preflight, error) {
		if f := r.Job.Check(); f != nil {
			return Preflight{}, f
		}
		return p.preflight(&r.Job), nil
	}))
	serve(s, callReviews, reads(b, func(p picture, _ none) ([]Review, error) { return p.reviews(), nil }))
	serve(s, callAllocs, reads(b, picture.allocs))
	serve(s, callAlloc, reads(b, func(p picture, r allocRef) (AllocDetail, error) {
		return p.allocDetail(r.Alloc)
	}))
}

func (s *Server) routeNodes(b Backend) {
	serve(s, callAdmin, func(ctx context.Context, r AdminRequest) (Drain, error) {
		return administer(ctx, b, r)
	})
	serve(s, callShare, func(ctx context.Context, r ShareRequest) (Resources, error) { return setShare(ctx, b, r) })
	serve(s, callLabel, func(ctx context.Context, r LabelRequest) (Node, error) { return label(ctx, b, r) })
	serve(s, callReconcile, func(ctx context.Context, r ReconcileRequest) (Recovery, error) {
		return reconcile(ctx, b, r)
	})
	serve(s, callWhatIf, func(ctx context.Context, r WhatIfRequest) (WhatIf, error) { return whatIf(ctx, b, r) })
	serve(s, callJudge, func(ctx context.Context, r JudgeRequest) ([]Review, error) {
		return judge(ctx, b, r)
	})
	serve(s, callRecover, func(ctx context.Context, r RecoverRequest) (Vouched, error) {
		snap, err := b.Snapshot(ctx)
		if err != nil {
			return Vouched{}, err
		}
		for i, ref := range r.Off {
			if n, err := (picture{snap}).findNode(ref); err == nil && isAt(n.Address, ref) {
				r.Off[i] = string(n.ID)
			}
		}
		return b.Recover(ctx, r)
	})
	serve(s, callEvict, func(ctx context.Context, r EvictRequest) (Evicted, error) {
		snap, err := b.Snapshot(ctx)
		if err != nil {
			return Evicted{}, err
		}
		n, err := picture{snap}.findNode(r.Node)
		if err != nil {
			return Evicted{}, err
		}
		r.Node = string(n.ID)
		copies, err := b.Evict(ctx, r)
		return Evicted{n.Name, n.ID, copies}, err
	})
}

func (s *Server) routeTokens(b Backend) {
	serve(s, callNewToken, func(ctx context.Context, r TokenRequest) (NewToken, error) {
		if r.TTL == 0 {
			r.TTL = mesh.Duration(DefaultTokenTTL)
		}
		if r.Uses == 0 {
			r.Uses = DefaultTokenUses
		}
		switch {
		case r.TTL < 0 || r.TTL.Std() > MaxTokenTTL:
			return NewToken{}, mesh.Faultf(mesh.Invalid, "ttl %v is not between 0 and %v",
				r.TTL, mesh.Duration(MaxTokenTTL))
		case r.Uses < 0 || r.Uses > MaxTokenUses:
			return NewToken{}, mesh.Faultf(mesh.Invalid, "uses %d is not between 1 and %d",
				r.Uses, MaxTokenUses)
		}
		return b.CreateToken(ctx, r)
	})
	serve(s, callTokens, func(ctx context.Context, _ none) ([]TokenStatus, error) {
		tokens, err := b.Tokens(ctx)
		return listed(tokens), err
	})
	serve(s, callRevokeToken, func(ctx context.Context, r tokenRef) (none, error) {
		return none{}, b.RevokeToken(ctx, r.ID)
	})
}

// reads makes a handler of what is computed from a snapshot.
func reads[Req, Reply any](
	b Backend, of func(picture, Req) (Reply, error),
) func(context.Context, Req) (Reply, error) {
	return func(ctx context.Context, r Req) (Reply, error) {
		snap, err := b.Snapshot(ctx)
		if err != nil {
			var zero Reply
			return zero, err
		}
		return of(picture{snap}, r)
	}
}

// jobOf is the state of a job, with what its copies have used up of its policies.
func jobOf(ctx context.Context, b Backend, id mesh.JobID) (Job, error) {
	job, err := reads(b, func(p picture, id mesh.JobID) (Job, error) { return p.job(id) })(ctx, id)
	if err != nil {
		return Job{}, err
	}
	e, err := b.Explain(ctx, id)
	if err != nil && mesh.FaultOf(err).Kind != mesh.NotFound { // else it has gone meanwhile
		return Job{}, err
	}
	job.Policies = listed(e.Copies)
	return job, nil
}

func submitted(s Submitted, err error) (Submitted, error) {
	s.Warnings = listed(s.Warnings)
	return s, err
}

// listed is list, but never nil: JSON should have [], not null.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return slices.Clip(list)
}
