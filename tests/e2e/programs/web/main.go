// Command web answers every request with its arguments and the request's protocol, counts what it is told to, and tells
// neither version nor metrics.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	said := strings.Join(os.Args[1:], " ")
	if said == "count" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return
	}
	stop, ended := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer ended()
	server := &http.Server{Addr: ":8090", IdleTimeout: 75 * time.Second, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	server.Handler = http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if err := os.WriteFile("/var/cache/web/last", []byte(request.URL.Path), 0o600); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(answer, said, os.Getenv("GREETING"), request.Proto)
	})
	go func() {
		<-stop.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		panic(err)
	}
}
