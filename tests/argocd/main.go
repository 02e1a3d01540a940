// Asks Argo CD's own Lua engine how it shows every situation of tests/plans, with the script that users install, and
// compares that with what the conditions mean. `make argocd` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	appv1 "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

type situation struct {
	Job  map[string]any `json:"job"`
	Says struct {
		Then *struct {
			State      string            `json:"state"`
			Message    string            `json:"message"`
			Conditions map[string]string `json:"conditions"`
		} `json:"then"`
	} `json:"says"`
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: argocd HEALTH.lua VALUES.yaml PLANS")
	}
	script := string(read(os.Args[1]))
	overrides := lua.ResourceHealthOverrides{}
	var values struct {
		Configs struct {
			Cm map[string]string `json:"cm"`
		} `json:"configs"`
	}
	decode(read(os.Args[2]), &values)
	for _, kind := range []string{"ScrapeJob", "ScrapeAccount", "ClusterScrapeAccount"} {
		installed := values.Configs.Cm["resource.customizations.health.spideriq.ai_"+kind]
		if strings.TrimSpace(installed) != strings.TrimSpace(script) {
			fail("values.yaml has another script for " + kind)
		}
		overrides["spideriq.ai/"+kind] = appv1.ResourceOverride{HealthLua: installed}
	}
	files, _ := filepath.Glob(filepath.Join(os.Args[3], "*.yaml"))
	counted, wrong := map[string]int{}, 0
	expect := func(name string, object map[string]any, expected string) {
		found := "none"
		health, err := overrides.GetResourceHealth(&unstructured.Unstructured{Object: object})
		if err != nil {
			found = err.Error()
		} else if health != nil {
			found = string(health.Status)
			if health.Message == "" {
				found += " without a message"
			}
		}
		counted[expected]++
		if found != expected {
			wrong++
			fmt.Printf("%s: %s, and means %s\n", name, found, expected)
		}
	}
	for _, file := range files {
		var asked situation
		decode(read(file), &asked)
		then := asked.Says.Then
		if then == nil || then.Conditions["Ready"] == "" {
			continue
		}
		object := object("ScrapeJob", asked.Job, then.State, then.Message, then.Conditions)
		name := filepath.Base(file)
		expect(name, object, meant(object, then.State, then.Conditions))
		// Whoever edits it, or deletes it, makes the answer one about an older object.
		object["metadata"].(map[string]any)["generation"] = int64(99)
		expect(name+", edited since", object, "Progressing")
	}
	for _, kind := range []string{"ScrapeAccount", "ClusterScrapeAccount"} {
		for status, expected := range map[string]string{"True": "Healthy", "False": "Degraded", "Unknown": "Progressing"} {
			conditions := map[string]string{"Ready": status + " Available"}
			expect(kind+" "+status, object(kind, map[string]any{}, "", "", conditions), expected)
		}
		expect(kind+", never looked at", map[string]any{
			"apiVersion": "spideriq.ai/v1alpha1", "kind": kind,
			"metadata": map[string]any{"generation": int64(1)},
			"status":   map[string]any{"observedGeneration": int64(-1), "conditions": []any{}},
		}, "Progressing")
	}
	wrong += actions(overrides, values.Configs.Cm, os.Args[3])
	fmt.Printf("%v, %d of them otherwise\n", counted, wrong)
	for _, status := range []string{"Healthy", "Degraded", "Progressing", "Suspended"} {
		if counted[status] == 0 {
			fail("no situation means " + status)
		}
	}
	if wrong > 0 {
		os.Exit(1)
	}
}

// What the conditions mean beside Ready, which is what the script looks at.
func meant(object map[string]any, state string, conditions map[string]string) string {
	if object["metadata"].(map[string]any)["deletionTimestamp"] != nil {
		return "Progressing"
	}
	is := func(condition string) bool { return strings.HasPrefix(conditions[condition], "True") }
	switch {
	case is("Stalled"):
		return "Degraded"
	case is("Reconciling"):
		return "Progressing"
	case strings.HasPrefix(state, "Suspended"):
		return "Suspended"
	}
	return "Healthy"
}

// An object as the operator leaves it.
func object(kind string, job map[string]any, state, message string, conditions map[string]string) map[string]any {
	metadata, _ := job["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["generation"] = int64(1)
	list := []any{}
	for name, said := range conditions {
		status, reason, _ := strings.Cut(said, " ")
		list = append(list, map[string]any{
			"type": name, "status": status, "reason": reason, "message": message, "observedGeneration": int64(1),
		})
	}
	word, _, _ := strings.Cut(state, " ")
	return map[string]any{
		"apiVersion": "spideriq.ai/v1alpha1", "kind": kind, "metadata": metadata,
		"status": map[string]any{"observedGeneration": int64(1), "state": word, "conditions": list},
	}
}

func read(path string) []byte {
	bytes, err := os.ReadFile(path)
	if err != nil {
		fail(err.Error())
	}
	return bytes
}

func decode(text []byte, into any) {
	if err := yaml.Unmarshal(text, into); err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
