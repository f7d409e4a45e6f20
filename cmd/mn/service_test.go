package main

import (
	"testing"

	"mn/mesh"
	"mn/mesh/api"
)

func TestWhyAServiceIsHidden(t *testing.T) {
	check := func(h mesh.Health, failures int, why string) []mesh.CheckStatus {
		return []mesh.CheckStatus{{Name: "other", Health: mesh.Passing}, {Name: "http", Health: h, Failures: failures, Reason: why}}
	}
	for _, tt := range []struct {
		of   api.Service
		want string
	}{
		{api.Service{Status: mesh.Passing, Checks: check(mesh.Passing, 0, "")}, "-"},
		{
			api.Service{Status: mesh.Passing, Checks: check(mesh.Passing, 1, "status 503")},
			`passes still: check "http" has failed once: status 503`,
		},
		{
			api.Service{Status: mesh.Passing, Checks: check(mesh.Passing, 2, "status 503")},
			`passes still: check "http" has failed 2 times in a row: status 503`,
		},
		{
			api.Service{Status: mesh.Critical, Hidden: "critical", Checks: check(mesh.Critical, 0, "refused")},
			`check "http": refused`,
		},
		{api.Service{Status: mesh.Passing, Hidden: "its node is out of sight"}, "its node is out of sight"},
	} {
		if got := whyHidden(&tt.of); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestNoService(t *testing.T) {
	for _, tt := range []struct {
		of   api.ServicesRequest
		want string
	}{
		{api.ServicesRequest{}, "no service can be used now (mn service ls --all)"},
		{api.ServicesRequest{Tag: "a,b", Node: "n"}, "no service with tags a, b on node n can be used now (mn service ls --all)"},
		{api.ServicesRequest{All: true}, "nothing that runs offers a service"},
		{api.ServicesRequest{All: true, Service: "web", Tag: "a", Node: "n"}, "nothing that runs on node n offers service web with tag a"},
	} {
		if got := noService(&tt.of); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
