import { CSPProvider } from "@base-ui/react/csp-provider";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./styles/main.css";
import { queryClient } from "./api/queries";
import { PreferencesProvider } from "./app/preferences-provider";
import { router } from "./routes";
import { TipProvider } from "./ui/tooltip";

const place = document.getElementById("root");
if (!place) throw new Error("index.html has the element #root");
createRoot(place).render(
  <StrictMode>
    <CSPProvider disableStyleElements>
      <QueryClientProvider client={queryClient}>
        <PreferencesProvider>
          <TipProvider delay={400}>
            <RouterProvider router={router} />
          </TipProvider>
        </PreferencesProvider>
      </QueryClientProvider>
    </CSPProvider>
  </StrictMode>,
);
