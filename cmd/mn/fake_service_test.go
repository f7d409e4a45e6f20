package main

import "mn/mesh"

// offer has a copy of hello offer the service greeting, whose one check says what is given.
func offer(a *mesh.AllocView, h mesh.Health) {
	job := helloJob(2)
	job.Tasks[0].Services = []mesh.ServiceDef{{
		Name: "greeting", Port: "20000", Tags: []string{"loud"}, Checks: []mesh.Check{{Type: mesh.CheckHTTP}},
	}}
	a.Placed, a.Status.Boot = &job, "b1"
	check := mesh.CheckStatus{Name: "http", Health: h, Since: earlier(), Required: true}
	if h != mesh.Passing {
		check.Reason = "status 503"
	}
	a.Status.Tasks[0].Services = []mesh.ServiceStatus{{
		Name: "greeting", Health: h, Since: earlier(), Checks: []mesh.CheckStatus{check},
	}}
}
