// Renders the templates of a chart with Go's own text/template, the engine of Helm, and as much of Helm's functions as the
// chart uses. Another function is an error, so the chart cannot leave what is tested.
//
//	go run render.go TEMPLATE... < VALUES.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func isEmpty(value any) bool {
	return value == nil || value == "" || value == false || value == 0.0
}

func main() {
	functions := template.FuncMap{
		"quote":  func(value any) string { return fmt.Sprintf("%q", fmt.Sprint(value)) },
		"list":   func(values ...any) []any { return values },
		"toJson": func(value any) (string, error) { text, err := json.Marshal(value); return string(text), err },
		"default": func(otherwise, value any) any {
			if isEmpty(value) {
				return otherwise
			}
			return value
		},
		"required": func(reason string, value any) (any, error) {
			if isEmpty(value) {
				return nil, fmt.Errorf("%s", reason)
			}
			return value, nil
		},
		"add": func(values ...any) (sum int) {
			for _, value := range values {
				switch number := value.(type) {
				case float64:
					sum += int(number)
				case int:
					sum += number
				}
			}
			return
		},
	}
	var data any
	fail(json.NewDecoder(os.Stdin).Decode(&data))
	for _, path := range os.Args[1:] {
		parsed, err := template.New(filepath.Base(path)).Option("missingkey=error").Funcs(functions).ParseFiles(path)
		fail(err)
		fmt.Println("---")
		fail(parsed.Execute(os.Stdout, data))
	}
}
