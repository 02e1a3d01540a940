package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What each action changes, and nothing else.
var changes = map[string]string{
	"cancel":  "spec.cancel",
	"rerun":   "spec.runID",
	"suspend": "spec.suspend",
	"resume":  "spec.suspend",
	"refresh": "metadata.annotations.spideriq.ai/reconcile-requested-at",
}

// Asks which actions are offered in every situation, runs those, and compares both with what they are for. Returns how
// many are otherwise.
func actions(overrides lua.ResourceHealthOverrides, installed map[string]string, plans string) int {
	for kind, override := range overrides {
		override.Actions = installed["resource.customizations.actions."+strings.Replace(kind, "/", "_", 1)]
		if override.Actions == "" {
			fail("values.yaml has no actions of " + kind)
		}
		overrides[kind] = override
	}
	vm := lua.VM{ResourceOverrides: overrides}
	wrong, ran := 0, map[string]int{}
	check := func(name string, object map[string]any) {
		offered := enabled(vm, object)
		if meant := offers(object); !reflect.DeepEqual(offered, meant) {
			wrong++
			fmt.Printf("%s: offers %v, and means %v\n", name, offered, meant)
		}
		for _, action := range offered {
			ran[action]++
			expected := []string{changes[action]}
			if spec, _ := object["spec"].(map[string]any); action == "rerun" && spec["cancel"] == true {
				// Else the new run would be cancelled, too.
				expected = []string{"spec.cancel", "spec.runID"}
			}
			if changed := run(vm, object, action); !reflect.DeepEqual(changed, expected) {
				wrong++
				fmt.Printf("%s: %s changes %v\n", name, action, changed)
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(plans, "*.yaml"))
	for _, file := range files {
		var asked situation
		decode(read(file), &asked)
		then := asked.Says.Then
		if then == nil {
			continue
		}
		object := object("ScrapeJob", asked.Job, then.State, then.Message, then.Conditions)
		object["spec"] = asked.Job["spec"]
		status := object["status"].(map[string]any)
		status["finished"] = strings.HasPrefix(then.Conditions["Finished"], "True")
		if before, ok := asked.Job["status"].(map[string]any); ok && before["jobID"] != nil {
			status["jobID"] = before["jobID"]
		}
		check(filepath.Base(file), object)
		// Whoever clicks twice runs it once.
		object["metadata"].(map[string]any)["generation"] = int64(99)
		if offered := enabled(vm, object); slices.Contains(offered, "rerun") {
			wrong++
			fmt.Printf("%s, edited since: offers %v\n", filepath.Base(file), offered)
		}
	}
	for _, kind := range []string{"ScrapeAccount", "ClusterScrapeAccount"} {
		for _, spec := range []map[string]any{{}, {"suspend": true}, {"suspend": false}} {
			object := object(kind, map[string]any{}, "", "", nil)
			object["spec"] = spec
			check(fmt.Sprintf("%s %v", kind, spec), object)
		}
	}
	// What a payload may hold that Lua knows no word for.
	odd := object("ScrapeJob", map[string]any{}, "Completed", "", nil)
	odd["status"].(map[string]any)["finished"] = true
	payload := map[string]any{
		"map": map[string]any{}, "list": []any{}, "deep": []any{map[string]any{"list": []any{}}, []any{}}, "count": int64(1) << 53, "share": 0.1,
	}
	odd["spec"] = map[string]any{"payload": payload}
	check("an odd payload", odd)
	// As docs/how-to/gitops.md says.
	payload["count"], payload["none"], payload["deep"] = int64(1)<<53+1, nil, []any{map[string]any{}}
	known := []string{changes["refresh"], "spec.payload.count", "spec.payload.deep", "spec.payload.none"}
	if changed := run(vm, odd, "refresh"); !reflect.DeepEqual(changed, known) {
		wrong++
		fmt.Printf("what Lua does not know: %v\n", changed)
	}
	fmt.Printf("ran %v\n", ran)
	for action := range changes {
		if ran[action] == 0 {
			fail("no situation offers " + action)
		}
	}
	return wrong
}

// What makes sense as the object is.
func offers(object map[string]any) []string {
	spec, _ := object["spec"].(map[string]any)
	status := object["status"].(map[string]any)
	if object["metadata"].(map[string]any)["deletionTimestamp"] != nil {
		return nil
	}
	meant := []string{"refresh"}
	if spec["suspend"] == true {
		meant = append(meant, "resume")
	}
	known := status["observedGeneration"] == object["metadata"].(map[string]any)["generation"]
	job, over := object["kind"] == "ScrapeJob", known && status["finished"] == true
	if spec["suspend"] != true && !over && status["jobID"] == nil {
		meant = append(meant, "suspend")
	}
	if job && !over && spec["cancel"] != true {
		meant = append(meant, "cancel")
	}
	if job && over && spec["jobID"] == nil {
		meant = append(meant, "rerun")
	}
	sort.Strings(meant)
	return meant
}

func enabled(vm lua.VM, object map[string]any) []string {
	obj := &unstructured.Unstructured{Object: object}
	scripts, err := vm.GetResourceActionDiscovery(obj)
	if err != nil {
		fail(err.Error())
	}
	found, err := vm.ExecuteResourceActionDiscovery(obj, scripts)
	if err != nil {
		fail(err.Error())
	}
	var names []string
	for _, action := range found {
		if !action.Disabled {
			names = append(names, action.Name)
		}
	}
	sort.Strings(names)
	return names
}

// The fields that an action changes.
func run(vm lua.VM, object map[string]any, action string) []string {
	obj := &unstructured.Unstructured{Object: object}
	definition, err := vm.GetResourceAction(obj, action)
	if err != nil {
		fail(err.Error())
	}
	impacted, err := vm.ExecuteResourceAction(obj, definition.ActionLua, nil)
	if err != nil {
		fail(action + ": " + err.Error())
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		fail(action + " is no patch of one object")
	}
	changed := differences("", plain(object), plain(impacted[0].UnstructuredObj.Object))
	sort.Strings(changed)
	return changed
}

// As JSON has it, with numbers as they are written.
func plain(object any) any {
	text, err := json.Marshal(object)
	if err != nil {
		fail(err.Error())
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		fail(err.Error())
	}
	return value
}

func differences(at string, before, after any) []string {
	old, isMap := before.(map[string]any)
	now, stays := after.(map[string]any)
	if !isMap || !stays {
		same := number(before) != "" && number(before) == number(after)
		if same || reflect.DeepEqual(before, after) {
			return nil
		}
		return []string{strings.TrimPrefix(at, ".")}
	}
	var found []string
	for name := range merged(old, now) {
		below, fresh := old[name], now[name]
		if _, there := now[name]; !there {
			found = append(found, strings.TrimPrefix(at+"."+name, "."))
			continue
		}
		if _, isMap := fresh.(map[string]any); isMap && below == nil {
			below = map[string]any{}
		}
		found = append(found, differences(at+"."+name, below, fresh)...)
	}
	return found
}

// A number as every way of writing it says it.
func number(value any) string {
	if written, ok := value.(json.Number); ok {
		if whole, err := written.Int64(); err == nil {
			return fmt.Sprint(whole)
		}
		float, _ := written.Float64()
		return fmt.Sprint(float)
	}
	return ""
}

func merged(one, other map[string]any) map[string]bool {
	names := map[string]bool{}
	for name := range one {
		names[name] = true
	}
	for name := range other {
		names[name] = true
	}
	return names
}
