// A service that speaks gRPC and nothing else: its health service is all of its API. Each answer says who gave it, in
// the headers x-color and x-version.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

func main() {
	said := metadata.Pairs("x-color", os.Getenv("APP_COLOR"), "x-version", os.Getenv("APP_VERSION"))
	answer := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if err := grpc.SetHeader(ctx, said); err != nil {
			return nil, err
		}
		return handle(ctx, request)
	}
	listener, err := net.Listen("tcp", ":"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(answer))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		server.GracefulStop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
