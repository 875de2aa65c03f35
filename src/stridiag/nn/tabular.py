from __future__ import annotations
from dataclasses import dataclass, replace
from typing import Any, Literal
import time
import numpy as np
from stridiag.nn.ensemble import Ensemble, Member, mean_of_members
from stridiag.nn.memory import Memory, LEAST_GAIN
from stridiag.nn.mixed_units import draw_units
from stridiag.nn.penalty_walk import StandardRows, solve_by_walk
from stridiag.nn.random_features import check_training_data
from stridiag.nn.ranks import Both
from stridiag.nn.relevance import Relevance, gradient_product
from stridiag.nn.calibration import leave_one_out
from stridiag.nn.transforms import Standardization

SHARES=(0.0,0.5,1.0)
def sizes(n, preset):
    if preset=="fast":
        return (600,4,300,1500) if n<=1500 else (800,3,300,2500) if n<=5000 else (1200,1,300,2500) if n<=12000 else (1500,1,300,2500)
    return (800,8,500,2000) if n<=1500 else (1200,6,500,4000) if n<=5000 else (2000,3,600,5000) if n<=12000 else (2500,2,600,5000)

class Rows:
    def __init__(s,t,d,rng):
        s.order=np.argsort(t@rng.standard_normal(t.shape[1]),kind="stable"); s.cum=np.cumsum(d[s.order]); s.n=t.shape[0]
    def draw(s,m,rng):
        p=np.searchsorted(s.cum,rng.random(m)*s.cum[-1],side="right"); return s.order[np.minimum(p,s.n-1)]
    def spread(s,m,rng):
        if m>=s.n: return np.arange(s.n)
        p=np.searchsorted(s.cum,(np.arange(m)+rng.random())/m*s.cum[-1],side="right"); return np.unique(s.order[np.minimum(p,s.n-1)])

@dataclass
class Info: 
    log: list

def fit_tabular(X,Z,*,preset="fast",memory="auto",mixing="structured",units=None,networks=None,alpha=None,weights=None,rng=None,classification=False,opt=None):
    o=dict(rounds=2,shares=SHARES,judges=2048,small_judges=2048,clock={}); o.update(opt or {})
    clk=o['clock']
    def tick(k,s): clk[k]=clk.get(k,0)+time.process_time()-s
    x,z,d=check_training_data(X,Z,weights)
    out=Standardization.fit(z,d)
    zs=out.apply(z)
    rng=np.random.default_rng(rng)
    s=time.process_time()
    inputs=Both.fit(x,d); t=inputs.apply(x)
    tick('transform',s)
    n=float(d.sum())
    D,E,Ds,ns=sizes(n,preset)
    D=units or D; E=networks or E
    D=int(min(D,o.get('cap',1.0)*n))
    rows=Rows(t,d,rng)
    members=[];loos=0;rel=None
    log=[]
    for e in range(E):
        s=time.process_time()
        pick=rows.spread(ns,rng)
        ts,zz,ds=t[pick],zs[pick],d[pick]
        sub=Rows(ts,ds,rng)
        def small(r,share,mix):
            sp=int(round(Ds*share))
            h=draw_units(ts[sub.draw(Ds,rng)],sp,Ds-sp,mix,r.scale,r.factor,rng)
            solved=solve_by_walk(StandardRows.take(h.features(ts),zz,ds),None,sub.spread(o['small_judges'],rng))
            return float(solved.readout.score.sum()),h,solved.readout
        mix=mixing
        r=Relevance.none(t.shape[1])
        best=None
        tried=[]
        for k in range(o['rounds']+1):
            sc,h,ro=small(r,.5,mix)
            tried.append(round(sc,5))
            if best is None or sc<best[0]: best=(sc,r)
            if k<o['rounds']:
                r=Relevance.from_product(gradient_product(h,ro.coefficients,ts,ds))
        r=best[1]
        sh=[(small(r,q,mix)[0] if q!=.5 else best[0],q) for q in o['shares']]
        share=min(sh)[1]
        tick('relevance',s); s=time.process_time()
        sp=int(round(D*share))
        h=draw_units(t[rows.draw(D,rng)],sp,D-sp,mix,r.scale,r.factor,rng)
        F=h.features(t)
        tick('features',s); s=time.process_time()
        st=StandardRows.take(F,zs,d)
        tick('standard',s); s=time.process_time()
        want=bool(memory) or classification
        solved=solve_by_walk(st,alpha,rows.spread(o['judges'],rng),keep=want)
        tick('readout',s)
        ro=solved.readout
        if want:
            # fitted from standardised rows
            fit=(st.features@(ro.coefficients/np.where(st.inverse_scale>0,st.inverse_scale,1)[:,None]))/np.sqrt(d/d.sum())[:,None]+st.target_mean
            loos=loos+leave_one_out(zs,fit,solved.left)/E
        log.append((tried,share,float(np.log10(ro.alpha[0])),float(ro.score.sum())))
        dev=np.where(np.isinf(out.deviation),0,out.deviation)*out.magnitude
        ro=replace(ro,coefficients=ro.coefficients*dev,intercept=ro.intercept*dev+out.mean*out.magnitude)
        members.append(Member(h,ro))
    mem=None
    if memory:
        s=time.process_time()
        mem=Memory.fit(t,(zs-loos)*dev,d,(np.ones(t.shape[1]),r.scale),rng.permutation(rows.spread(1500,rng)))
        log.append(('mem',mem.gain,mem.alpha,mem.neighbours,mem.power,bool(mem.scale[0]!=1)))
        if memory=="auto" and mem.gain<=LEAST_GAIN: mem=None
        tick('memory',s)
    if classification: lo=np.full(z.shape[1],-np.inf); hi=-lo
    else:
        lo,hi=z.min(0),z.max(0); m=.1*(hi-lo); lo,hi=lo-m,hi+m
    return Ensemble(inputs,tuple(members),mem,lo,hi),log
